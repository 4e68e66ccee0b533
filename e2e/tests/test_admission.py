"""Admission in a cluster: what is said of what is written, and that nothing depends on it."""

import json
import unittest

from kubernetes.common import until

from .mesh import PROGRAMS_NEEDED, Mesh
from .support import PATIENCE, ROOT_NEEDED

# The kubelet writes a Secret's files anew at most so often. Seconds.
KUBELET = 180
SYSTEM = "--namespace=tombolo-system"
WEBHOOK = "validatingwebhookconfiguration/tombolo-discovery"

GATEWAY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "edge"},
    # Deployed by somebody else: these tests need no proxy.
    "spec": {
        "gatewayClassName": "tombolo",
        "addresses": [{"type": "Hostname", "value": "edge.example.com"}],
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
    },
}
ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "web"},
    "spec": {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
}
ENTRY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "stock"},
    "spec": {"hosts": ["stock.example.com"], "resolution": "DNS", "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}]},
}
# Names of headers are compared without their case, which the schema does not.
HEADERS = [{"name": "x-version", "value": "a"}, {"name": "X-Version", "value": "b"}]


def called(document, name, **spec):
    """The same document by another name, with other fields in its spec."""
    return {**document, "metadata": {**document["metadata"], "name": name}, "spec": {**document["spec"], **spec}}


# The API server stores each of them; the field is one that has no effect, or not all of it.
UNSUPPORTED = {
    "spec.allowedListeners": called(GATEWAY, "more", allowedListeners={"namespaces": {"from": "Same"}}),
    "spec.rules[0].matches[0].headers[1]": called(ROUTE, "versions", rules=[{**ROUTE["spec"]["rules"][0], "matches": [{"headers": HEADERS}]}]),
    "spec.ports[0].protocol": called(ENTRY, "names", ports=[{"name": "dns", "number": 53, "protocol": "UDP"}]),
}


@ROOT_NEEDED
@PROGRAMS_NEEDED
class AdmissionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Mesh("e2e-admission")
        cls.cluster.begin()
        cls.addClassCleanup(cls.cluster.end)
        cls.cluster.install()
        cls.cluster.wait("condition=Admission", "meshrevisiontag/default")

    def write(self, document, *words):
        """What kubectl says of a document that it applies."""
        return self.cluster.kubectl("apply", "--filename=-", *words, input=json.dumps(document))

    def field(self, thing, path, *words):
        return self.cluster.kubectl("get", thing, f"--output=jsonpath={{{path}}}", *words).strip()

    def state(self):
        logs = self.cluster.kubectl("logs", SYSTEM, "--selector=app.kubernetes.io/name=tombolo-discovery", "--tail=50", check=False)
        return self.cluster.kubectl("get", "pods,secrets,meshrevisiontags,validatingwebhookconfigurations", SYSTEM, "--output=wide") + logs

    def test_a_listener_that_cannot_be_served_says_why_and_the_others_are_accepted(self):
        selector = {"matchExpressions": [{"key": "team", "operator": "In"}]}
        teams = {"name": "teams", "port": 8080, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}}}
        self.write(called(GATEWAY, "teams", listeners=[*GATEWAY["spec"]["listeners"], teams]))
        self.addCleanup(self.cluster.kubectl, "delete", "gateway", "teams")
        self.cluster.wait("condition=Accepted", "gateway/teams")
        accepted = '.conditions[?(@.type=="Accepted")]'
        self.assertEqual(self.field("gateway/teams", f".status{accepted}.reason"), "ListenersNotValid")
        self.assertEqual(self.field("gateway/teams", f'.status.listeners[?(@.name=="http")]{accepted}.status'), "True")
        self.assertEqual(self.field("gateway/teams", f'.status.listeners[?(@.name=="teams")]{accepted}.reason'), "UnsupportedValue")
        message = self.field("gateway/teams", f'.status.listeners[?(@.name=="teams")]{accepted}.message')
        field = "spec.listeners[1].allowedRoutes.namespaces.selector.matchExpressions[0].values"
        self.assertTrue(message.startswith(f"{field}: ") and message.endswith("; add a value"), message)

    def restore(self):
        """The operator is back, and has put back the control plane."""
        self.cluster.kubectl("scale", "deployment/tombolo-operator", "--replicas=2", SYSTEM)
        replicas = lambda: self.field("deployment/tombolo-discovery-default", ".spec.replicas", SYSTEM) == "2"
        until("the control plane is put back", PATIENCE, replicas, self.state)
        for name in ("tombolo-operator", "tombolo-discovery-default"):
            self.cluster.kubectl("rollout", "status", f"deployment/{name}", SYSTEM, f"--timeout={PATIENCE}s")

    def warned(self, patience=PATIENCE):
        """Waits for a warning; nothing is written."""
        field, document = next(iter(UNSUPPORTED.items()))
        asked = lambda: self.write(called(document, "asked"), "--dry-run=server")
        said = lambda: next((line for line in asked().splitlines() if line.startswith("Warning: ")), None)
        self.assertIn(field, until("a warning", patience, said, self.state))

    def test_what_is_not_supported_is_said_and_stored(self):
        self.warned()
        for field, document in UNSUPPORTED.items():
            with self.subTest(field):
                said = self.write(document)
                self.assertRegex(said, r"(?m)^Warning: ")
                self.assertIn(field, said)
                self.cluster.kubectl("get", document["kind"].lower(), document["metadata"]["name"])
        for document in (GATEWAY, ROUTE, ENTRY):
            with self.subTest(document["kind"]):
                self.assertNotIn("Warning", self.write(document))

    def test_a_label_names_who_reviews(self):
        self.warned()
        field, document = next(iter(UNSUPPORTED.items()))
        labelled = lambda revision: {**document, "metadata": {"name": "labelled", "labels": {"istio.io/rev": revision}}}
        self.assertIn(field, self.write(labelled("default"), "--dry-run=server"))
        self.assertNotIn("Warning", self.write(labelled("other"), "--dry-run=server"), "nobody here reads it")
        elsewhere = self.write(called(document, "elsewhere"), "--dry-run=server", "--namespace=kube-system")
        self.assertNotIn("Warning", elsewhere)

    def test_nothing_waits_for_control_planes_that_are_gone(self):
        self.warned()
        # The operator would put back the count.
        for name in ("tombolo-operator", "tombolo-discovery-default"):
            self.cluster.kubectl("scale", f"deployment/{name}", "--replicas=0", SYSTEM)
        self.addCleanup(self.restore)
        gone = lambda: not self.field("pods", ".items", SYSTEM, "--selector=app.kubernetes.io/name=tombolo-discovery").strip("[]")
        until("no control plane runs", PATIENCE, gone, self.state)
        for field, document in UNSUPPORTED.items():
            with self.subTest(field):
                said = self.write(called(document, document["metadata"]["name"] + "-alone"))
                self.assertIn("created", said)
                self.assertNotIn("Warning", said)

    def test_what_is_trusted_is_put_back(self):
        path = ".webhooks[*].clientConfig.caBundle"
        trusted = self.field(WEBHOOK, path)
        other = self.cluster.kubectl("config", "view", "--raw", "--output=jsonpath={.clusters[0].cluster.certificate-authority-data}").strip()
        self.assertNotIn(other, trusted)
        overwritten = [{"op": "replace", "path": f"/webhooks/{i}/clientConfig/caBundle", "value": other} for i in (0, 1)]
        self.cluster.kubectl("patch", WEBHOOK, "--type=json", f"--patch={json.dumps(overwritten)}")
        until("the bundle is as it was", PATIENCE, lambda: self.field(WEBHOOK, path) == trusted, self.state)
        self.warned()

    def test_other_certificates_are_taken_without_a_restart(self):
        self.warned()
        pods = lambda: self.field("pods", ".items[*].metadata.uid", SYSTEM, "--selector=app.kubernetes.io/name=tombolo-discovery")
        restarts = lambda: self.field("pods", ".items[*].status.containerStatuses[*].restartCount", SYSTEM)
        bundle = lambda: self.field(WEBHOOK, ".webhooks[0].clientConfig.caBundle")
        before = (pods(), restarts())
        trusted = bundle()
        self.cluster.kubectl("delete", "secret/tombolo-webhook", SYSTEM)
        until("another authority is trusted", PATIENCE, lambda: bundle() != trusted, self.state)
        self.warned(KUBELET)  # by a certificate of that authority
        self.assertEqual((pods(), restarts()), before)
