"""Tombolo in a cluster: from the chart to requests that reach pods and a machine, and what must not cost one of them.

Needs the programs: TOMBOLO_PROGRAMS names Cargo's directory, ENVOY_BIN the proxy. `make e2e` builds and names them.
"""

import json
import pathlib
import subprocess
import sys
import time
import unittest

from kubernetes.common import until

from .support import PATIENCE, PROGRAMS_NEEDED, ROOT_NEEDED, TestCluster, install

MANIFESTS = pathlib.Path(__file__).resolve().parent / "manifests"

# Asks without end, and says what became of it once its input ends.
LOAD = """
import sys, threading, time, urllib.request
asked = failed = 0
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
while not over.is_set():
    asked += 1
    try:
        request = urllib.request.Request("http://%s/health" % sys.argv[1], headers={"host": "shop.example.com"})
        urllib.request.urlopen(request, timeout=5).read()
    except Exception as error:
        failed += 1
        print("failed:", error, flush=True)
    time.sleep(0.02)
print(asked, failed)
"""


class Load:
    """Steady requests through the gateway, for as long as the block takes."""

    def __init__(self, cluster, address):
        argv = cluster.argv("exec", "--", sys.executable, "-c", LOAD, address)
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.said, _ = self.process.communicate("", timeout=PATIENCE)
        self.asked, self.failed = map(int, self.said.split()[-2:])


@ROOT_NEEDED
@PROGRAMS_NEEDED
class TomboloTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = TestCluster("tombolo")
        cls.addClassCleanup(cls.cluster.run, "down")
        cls.cluster.run("down")
        cls.cluster.run("up")
        install(cls.cluster)
        cls.cluster.kubectl("apply", "--filename", str(MANIFESTS / "shop.yaml"))
        cls.cluster.wait("condition=Programmed", "gateway/edge", "shop")
        cls.address = cls.field("gateway/edge", ".status.addresses[0].value")

    @classmethod
    def field(cls, thing, path, namespace="shop"):
        return cls.cluster.kubectl("get", thing, f"--namespace={namespace}", f"--output=jsonpath={{{path}}}").strip()

    def ask(self, host):
        """What the gateway answers for a host, once it answers."""
        program = (
            "import sys, urllib.request as u;"
            f"print(u.urlopen(u.Request('http://{self.address}/health', headers={{'host': '{host}'}}), timeout=5).read().decode(), end='')"
        )

        def answer():
            printed = self.cluster.run("exec", "--", sys.executable, "-c", program, check=False)
            return None if "Traceback" in printed else printed

        return until(f"{host} answers", PATIENCE, answer, self.state)

    def state(self):
        logs = self.cluster.kubectl("logs", "--namespace=shop", "--selector=gateway.networking.k8s.io/gateway-name=edge", check=False)
        return self.cluster.kubectl("get", "pods,gateways,httproutes", "--all-namespaces", "--output=wide") + logs

    def rollout(self, name):
        self.cluster.kubectl("rollout", "status", f"deployment/{name}", "--namespace=tombolo-system", f"--timeout={PATIENCE}s")

    def test_requests_reach_pods(self):
        self.assertEqual(self.ask("shop.example.com"), "OK")

    def test_requests_reach_a_machine_outside_the_cluster(self):
        self.addCleanup(self.cluster.run, "vm remove", "stock")
        address = self.cluster.run("vm add", "stock").strip()
        patch = json.dumps({"spec": {"address": address}})
        self.cluster.kubectl("patch", "workloadentry", "stock-1", "--namespace=shop", "--type=merge", f"--patch={patch}")
        server = "import http.server as h\nclass S(h.BaseHTTPRequestHandler):\n def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b'stock')\nh.HTTPServer(('', 8090), S).serve_forever()"
        machine = subprocess.Popen(self.cluster.argv("vm exec", "stock", "--", sys.executable, "-c", server), stderr=subprocess.DEVNULL)
        self.addCleanup(machine.wait)
        self.addCleanup(machine.kill)
        self.assertEqual(self.ask("stock.example.com"), "stock")

    def test_the_gateway_is_what_its_status_says(self):
        self.assertEqual(self.field("service/edge-tombolo", ".status.loadBalancer.ingress[0].ip"), self.address)
        self.assertEqual(self.field("gateway/edge", ".status.listeners[0].attachedRoutes"), "2")

    def test_edited_routes_and_killed_control_planes_cost_no_request(self):
        with Load(self.cluster, self.address) as load:
            for edit in range(20):
                patch = json.dumps([{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": edit + 1}])
                self.cluster.kubectl("patch", "httproute", "web", "--namespace=shop", "--type=json", f"--patch={patch}")
            for pod in self.field("pods", ".items[*].metadata.name", "tombolo-system").split():
                self.cluster.kubectl("delete", "pod", pod, "--namespace=tombolo-system", "--grace-period=0", "--force")
                self.rollout("tombolo-discovery-default")
        self.assertEqual(load.failed, 0, load.said)
        self.assertGreater(load.asked, 100)

    def test_an_idle_mesh_writes_leases_alone(self):
        log = pathlib.Path(self.cluster.status()["auditLog"])
        self.ask("shop.example.com")
        self.rollout("tombolo-discovery-default")
        self.rollout("tombolo-operator")
        until("nothing is written for a while", PATIENCE, lambda: not self.writes(log, time.time() - 5), self.state)
        began = time.time()
        time.sleep(20)  # the time is what is measured
        self.assertEqual(self.writes(log, began), [])

    @staticmethod
    def writes(log, since):
        """What our ServiceAccounts wrote since then, but for Leases."""
        ours = ("system:serviceaccount:tombolo-system:tombolo",)
        found = []
        for line in log.read_text().splitlines():
            request = json.loads(line)
            when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
            written = request["verb"] in ("create", "update", "patch", "delete")
            if written and request["user"]["username"].startswith(ours) and request["requestReceivedTimestamp"] >= when:
                if request.get("objectRef", {}).get("resource") != "leases":
                    found.append((request["user"]["username"], request["verb"], request["requestURI"]))
        return found
