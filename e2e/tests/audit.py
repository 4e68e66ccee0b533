"""What the API server's audit log says of Tombolo's own accounts: what they wrote, and which permissions they used."""

import datetime
import json

OURS = ("system:serviceaccount:tombolo-system:tombolo",)
WRITES = ("create", "update", "patch", "delete", "deletecollection")


class Audit:
    """One cluster's log."""

    def __init__(self, path):
        self.path = path

    def now(self):
        """A place in the log: what comes later is after it."""
        return self.path.stat().st_size

    def requests(self, after=0, by=OURS):
        """What programs asked for as users whose names begin so, whole lines only. What a test asks with their tokens is not theirs."""
        with self.path.open("rb") as log:
            log.seek(after)
            for line in log:
                if b"system:serviceaccount:" in line and line.endswith(b"\n"):
                    request = json.loads(line)
                    if user(request).startswith(by) and not request.get("userAgent", "").startswith("kubectl/"):
                        yield request

    def writes(self, after=0, since=None, by=OURS):
        """What was written but for Leases; `since`: only in the last so many seconds, as a negative number."""
        earliest = ""
        if since is not None:
            now = datetime.datetime.now(datetime.timezone.utc)
            earliest = (now + datetime.timedelta(seconds=since)).isoformat().replace("+00:00", "Z")
        return [
            (user(request).rpartition(":")[2], request["verb"], request["requestURI"])
            for request in self.requests(after, by)
            if request["verb"] in WRITES and resource(request) != "leases" and request["requestReceivedTimestamp"] >= earliest
        ]


def user(request):
    return request["user"]["username"]


def resource(request):
    """The resource as rules name it: `pods`, `pods/log`; empty for what is none."""
    about = request.get("objectRef", {})
    parts = (about.get("resource", ""), about.get("subresource", ""))
    return "/".join(filter(None, parts))


def used(requests):
    """The permissions that requests took: (group, resource or path, verb, name)."""
    found = set()
    for request in requests:
        about = request.get("objectRef")
        if about is None or "resource" not in about:
            found.add(("", request["requestURI"].partition("?")[0], request["verb"], ""))
            continue
        group, name = about.get("apiGroup", ""), about.get("name", "")
        found.add((group, resource(request), request["verb"], name))
        # An API server that is too old for a list as a stream is asked for it in pages.
        if streams(request):
            found.add((group, resource(request), "list", name))
        # A patch that makes an object is checked for both, by its name.
        if request["verb"] == "patch" and request.get("responseStatus", {}).get("code") == 201:
            found.add((group, resource(request), "create", name))
    return found


def streams(request):
    """Whether it asks for a list as a stream, and then for what happens."""
    return request["verb"] == "watch" and "sendInitialEvents=true" in request["requestURI"]


def refused(requests):
    """What was asked for and not permitted."""
    denied = (request for request in requests if request["annotations"].get("authorization.k8s.io/decision") == "forbid")
    return sorted({(user(request), request["verb"], request["requestURI"].partition("?")[0]) for request in denied})


def granted(rules):
    """The permissions that rules of a role give: as `used`, with an empty name for all names."""
    found = set()
    for rule in rules:
        for verb in rule["verbs"]:
            found |= {("", path, verb, "") for path in rule.get("nonResourceURLs", [])}
            for group in rule.get("apiGroups", []):
                for kind in rule.get("resources", []):
                    found |= {(group, kind, verb, name) for name in rule.get("resourceNames") or [""]}
    return found


def unused(permissions, uses):
    """The permissions that no use needed: a use of a name that is granted by name needs that one, and not the one for all names."""
    named = {permission for permission in permissions if permission[3]}
    needed = {(*use[:3], "") for use in uses - named} | (uses & named)
    return sorted(permissions - needed)
