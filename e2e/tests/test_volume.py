"""A thousand Gateways at once: statuses, how often they are written, memory, and the quiet afterwards.

Most are deployed by hand. The others have no pods, as one node cannot run so many: their parameters say so.
"""

import concurrent.futures
import os
import re
import sys
import time

from kubernetes.common import until

from .mesh import PROGRAMS_NEEDED, SYSTEM, MeshTest, shared
from .support import IDLE, PATIENCE, ROOT_NEEDED

PAIRS = int(os.environ.get("E2E_GATEWAYS", "1000"))
STAGES = [PAIRS // 2, PAIRS // 4]  # how many are left later
SETTLED = 3  # writes of the status of a Gateway that is deployed: accepted, its Service has an address, it has no pods
DEPLOYED = 20  # every so many-th Gateway is deployed by us
BYTES_PER_PAIR = 20_000
LONG = 300  # seconds

PLACE = """
apiVersion: v1
kind: Namespace
metadata: {name: volume}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: empty, namespace: volume}
data: {deployment: "spec: {replicas: 0}"}
"""
# Where the proxies of a Gateway would be that others deployed, and the server behind them.
BEHIND = """
---
apiVersion: v1
kind: Service
metadata: {{name: g{number}, namespace: volume}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: g{number}, namespace: volume, labels: {{kubernetes.io/service-name: g{number}}}}}
addressType: IPv4
endpoints: [{{addresses: [10.98.9.2], conditions: {{ready: true}}}}]
ports: [{{name: http, port: 80}}]
"""
ROUTE = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r{number}, namespace: volume, labels: {{until: "{until}"}}}}
spec:
  parentRefs: [{{name: g{number}}}]
  hostnames: [r{number}.example.com]
  rules: [{{matches: [{{path: {{value: /a}}}}], backendRefs: [{{name: g{server}, port: 80}}]}}]
"""
GATEWAY = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: g{number}, namespace: volume, labels: {{until: "{until}"}}}}
spec:
  gatewayClassName: tombolo
  listeners: [{{name: http, port: 80, protocol: HTTP}}]
  {how}
"""
LISTENER = {"Accepted": "True", "Conflicted": "False", "ResolvedRefs": "True"}
BY_HAND = "addresses: [{{type: Hostname, value: g{number}.volume.svc.cluster.local}}]"
BY_US = 'infrastructure: {parametersRef: {group: "", kind: ConfigMap, name: empty}}'


@ROOT_NEEDED
@PROGRAMS_NEEDED
class VolumeTest(MeshTest):
    @classmethod
    def tearDownClass(cls):
        shared.cache_clear()  # another cluster is there sooner than this one is emptied

    def test_many_gateways_at_once(self):
        audit = self.mesh.audit
        self.mesh.apply(PLACE)
        by_hand = [number for number in range(PAIRS) if number % DEPLOYED]
        self.apply_all(BEHIND.format(number=number) for number in by_hand)
        self.mesh.until_quiet()
        services = self.mesh.get("services", "--namespace=volume")["items"]
        self.behind = {service["metadata"]["name"]: service["spec"]["clusterIP"] for service in services}
        self.assertEqual(len(self.behind), len(by_hand))
        began, heap = audit.now(), {0: self.live_heap()}
        self.apply(range(PAIRS))
        self.settle(PAIRS, heap)
        writes = self.status_writes(began)
        often = {what: count for what, count in writes.items() if count > (SETTLED if self.by_us(what) else 1)}
        self.assertEqual(often, {}, "each is one change, and one write")
        self.assert_idle()
        for left in STAGES:
            self.delete(left)
            self.settle(left, heap)
        counts = (PAIRS, *STAGES)
        most = max((heap[more] - heap[less]) / (more - less) for more, less in zip(counts, counts[1:]))
        print(f"{most:.0f} bytes a pair: {heap}", file=sys.stderr)
        self.assertLessEqual(most, BYTES_PER_PAIR, heap)
        half = (heap[PAIRS] + heap[0]) / 2
        until("what is deleted is forgotten", PATIENCE, lambda: self.heap() < half, lambda: f"{self.heap()} of {heap}")

    def settle(self, count, heap):
        """Until so many are as they should be, and nothing is written any more; notes the heap."""
        until(f"the statuses of {count} pairs are right", LONG, lambda: not self.wrong(count), lambda: str(self.wrong(count)[:9]))
        self.mesh.until_quiet()
        heap[count] = self.live_heap()

    def assert_idle(self):
        idle = self.mesh.audit.now()
        time.sleep(IDLE)  # the time is what is measured
        self.assertEqual(self.mesh.audit.writes(idle), [])

    def delete(self, left):
        """All that are there until so many are left, at once."""
        for kind in ("httproutes", "gateways"):
            path = f"/apis/gateway.networking.k8s.io/v1/namespaces/volume/{kind}?labelSelector=until%3D{left}"
            self.mesh.kubectl("delete", "--raw", path)

    def apply(self, numbers):
        """All at once; routes first, so that the Gateway that serves one is the only change that there is for either."""
        self.apply_all(map(self.route, numbers))
        self.apply_all(map(self.gateway, numbers))

    def apply_all(self, documents):
        """In four parts at once."""
        documents, words = list(documents), ("apply", "--server-side", "--filename=-")
        with concurrent.futures.ThreadPoolExecutor() as threads:
            parts = ["".join(documents[part::4]) for part in range(4)]
            list(threads.map(lambda part: self.mesh.kubectl(*words, input=part), parts))

    @staticmethod
    def route(number):
        return ROUTE.format(number=number, server=number % DEPLOYED or 1, until=until_how_many(number))

    @staticmethod
    def gateway(number):
        how = BY_HAND.format(number=number) if number % DEPLOYED else BY_US
        return GATEWAY.format(number=number, until=until_how_many(number), how=how)

    @staticmethod
    def by_us(what):
        return what.startswith("gateways/") and int(what.rpartition("/g")[2]) % DEPLOYED == 0

    def wrong(self, count):
        """The objects whose status is not right."""
        gateways = self.mesh.get("gateways", "--namespace=volume")["items"]
        routes = self.mesh.get("httproutes", "--namespace=volume")["items"]
        wrong = [item["metadata"]["name"] for item in gateways if not self.is_right(item)]
        wrong += [item["metadata"]["name"] for item in routes if not route_is_right(item)]
        return wrong + ["missing, or too many"] * abs(2 * count - len(gateways) - len(routes))

    def is_right(self, gateway):
        behind = self.behind.get(gateway["metadata"]["name"])  # where others deploy it
        status, programmed = gateway.get("status", {}), "True" if behind else "False"
        listeners = status.get("listeners", [])
        addresses = [address["value"] for address in status.get("addresses", [])]
        return (
            said(gateway, status) == {"Accepted": "True", "Programmed": programmed}
            and [listener["attachedRoutes"] for listener in listeners] == [1]
            and said(gateway, listeners[0]) == {**LISTENER, "Programmed": programmed}
            and (addresses == [behind] if behind else len(addresses) == 1)
        )

    def status_writes(self, began):
        """By object, how often its status was written."""
        counts = {}
        for _, _, uri in self.mesh.audit.writes(began):
            if found := re.search("namespaces/volume/((?:gateways|httproutes)/[^/?]+)/status", uri):
                counts[found[1]] = counts.get(found[1], 0) + 1
        return counts

    def live_heap(self):
        """The same without what is allocated for a moment only: the least of what some looks find."""
        return min(self.heap() for _ in range(10))

    def heap(self):
        """The bytes that the replica with the most has allocated."""
        pods = self.mesh.field("pods --selector=app.kubernetes.io/name=tombolo-discovery", ".items[*].status.podIP", SYSTEM)
        pages = [self.mesh.fetch(f"http://{address}:15014/metrics") for address in pods.split()]
        return max(int(re.search(r"^tombolo_memory_allocated_bytes (\d+)", page, re.MULTILINE)[1]) for page in pages)


def until_how_many(number):
    """How many are left when this one goes."""
    return max((left for left in STAGES if number >= left), default=0)


def said(item, status):
    """What its conditions say of the object as it is now."""
    now = item["metadata"]["generation"]
    return {entry["type"]: entry["status"] for entry in status.get("conditions", []) if entry.get("observedGeneration") == now}


def route_is_right(route):
    parents = route.get("status", {}).get("parents", [])
    return [said(route, parent) for parent in parents] == [{"Accepted": "True", "ResolvedRefs": "True"}]
