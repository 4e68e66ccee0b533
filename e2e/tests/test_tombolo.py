"""Tombolo in a cluster: from the chart to requests that reach pods and a machine, and what must not cost one of them."""

import subprocess
import sys
import time

from kubernetes.common import until

from . import audit
from .mesh import DISCOVERY, PROGRAMS_NEEDED, SYSTEM, MeshTest
from .support import IDLE, PATIENCE, ROOT_NEEDED

GROWS = {"pods", "serviceaccounts", "endpointslices", "secrets", "gateways", "httproutes", "serviceentries", "workloadentries"}
SERVER = """
import http.server as h
class S(h.BaseHTTPRequestHandler):
    def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b'stock')
h.HTTPServer(('', 8090), S).serve_forever()
"""


@ROOT_NEEDED
@PROGRAMS_NEEDED
class TomboloTest(MeshTest):
    def ask(self, host):
        return self.mesh.ask(host, self.address)

    def test_requests_reach_pods(self):
        self.assertEqual(self.ask("shop.example.com"), "OK")

    def test_requests_reach_a_machine_outside_the_cluster(self):
        self.addCleanup(self.mesh.run, "vm remove", "stock")
        address = self.mesh.run("vm add", "stock").strip()
        self.mesh.patch("workloadentry/stock-1", {"spec": {"address": address}})
        machine = subprocess.Popen(self.mesh.argv("vm exec", "stock", "--", sys.executable, "-c", SERVER), stderr=subprocess.DEVNULL)
        self.addCleanup(machine.wait)
        self.addCleanup(machine.kill)
        self.assertEqual(self.ask("stock.example.com"), "stock")

    def test_the_gateway_is_what_its_status_says(self):
        self.assertEqual(self.mesh.field("service/edge-tombolo", ".status.loadBalancer.ingress[0].ip"), self.address)
        self.assertEqual(self.mesh.field("gateway/edge", ".status.listeners[0].attachedRoutes"), "2")

    def test_edited_routes_and_killed_control_planes_cost_no_request(self):
        with self.steady():
            for number in range(20):
                header = {"set": [{"name": "x-edit", "value": str(number)}]}
                filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": header}]
                self.mesh.patch("httproute/web", [{"op": "add", "path": "/spec/rules/0/filters", "value": filters}], kind="json")
                edited = lambda: self.mesh.header("x-edit", "shop.example.com", self.address) == str(number)
                until(f"edit {number} is in effect", PATIENCE, edited, self.mesh.state)
            self.mesh.patch("httproute/web", [{"op": "remove", "path": "/spec/rules/0/filters"}], kind="json")
            for pod in self.mesh.field("pods", ".items[*].metadata.name", SYSTEM).split():
                self.mesh.kubectl("delete", "pod", pod, f"--namespace={SYSTEM}", "--grace-period=0", "--force")
                self.mesh.rollout(DISCOVERY)

    def test_what_grows_with_the_cluster_is_listed_as_a_stream(self):
        requests = list(self.mesh.audit.requests(by=(f"system:serviceaccount:{SYSTEM}:{DISCOVERY}",)))
        streamed = {audit.resource(request) for request in requests if audit.streams(request)}
        listed = {audit.resource(request) for request in requests if request["verb"] == "list"}
        self.assertEqual(GROWS - streamed, set(), "how it is asked for")
        self.assertEqual(GROWS & listed, set(), "and not in pages")

    def test_an_idle_mesh_writes_leases_alone(self):
        self.ask("shop.example.com")
        self.mesh.rollout(DISCOVERY)
        self.mesh.rollout("tombolo-operator")
        self.mesh.until_quiet(5)
        began = self.mesh.audit.now()
        time.sleep(IDLE)  # the time is what is measured
        self.assertEqual(self.mesh.audit.writes(began), [])
