"""Gateways whose proxies somebody else deploys: the example of it, with requests."""

import re

from kubernetes.common import ROOT, until

from . import current
from .mesh import PROGRAMS_NEEDED, MeshTest
from .support import PATIENCE, ROOT_NEEDED

EXAMPLE = ROOT / "examples" / "manual" / "ingress.yaml"
ROUTE = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: shop}
spec:
  parentRefs: [{name: front}]
  hostnames: [front.example.com]
  rules: [{backendRefs: [{name: web, port: 80}]}]
"""


@ROOT_NEEDED
@PROGRAMS_NEEDED
class ManualTest(MeshTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        image = f"{current.REGISTRY or 'tombolo.test'}/tombolo-proxy:{cls.mesh.version()}"
        example, images = re.subn(r"(?<=image: )\S+", image, EXAMPLE.read_text())
        assert images == 1, images
        cls.manifests = example + ROUTE
        cls.addClassCleanup(cls.mesh.kubectl, "delete", "--filename=-", "--ignore-not-found", input=cls.manifests)
        cls.mesh.apply(cls.manifests)
        cls.mesh.wait("condition=Programmed", "gateway/front", "shop")
        cls.address = cls.mesh.field("gateway/front", ".status.addresses[0].value")

    def test_requests_reach_what_the_gateway_routes_to(self):
        self.assertEqual(self.address, self.mesh.field("service/ingress", ".status.loadBalancer.ingress[0].ip", "ingress"))
        self.assertEqual(self.mesh.ask("front.example.com", self.address), "OK")
        self.assertEqual(self.mesh.field("deployments", ".items[*].metadata.name"), "edge-tombolo web", "nothing is made for it")

    def test_proxies_listen_where_their_service_leads_from_now_on(self):
        pods = self.mesh.field("pods --selector=app=ingress", ".items[*].status.podIP", "ingress").split()
        self.addCleanup(self.answers, [f"{pod}:8080" for pod in pods])
        self.addCleanup(self.lead, "http")
        self.lead(9080)
        self.answers([f"{pod}:9080" for pod in pods])
        self.answers([self.address])

    def test_what_proxies_reject_is_told_whichever_replica_they_are_at(self):
        self.addCleanup(self.answers, [self.address])
        self.addCleanup(self.lead, "http")
        self.lead(15020)  # where the agent's pages are, so that Envoy cannot listen
        told = lambda: self.mesh.field("gateway/front", '.status.listeners[0].conditions[?(@.type=="Programmed")].message')
        until("the status says so", PATIENCE, lambda: "a proxy rejects it" in told(), self.mesh.state)

    def lead(self, port):
        ports = [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": port}]
        self.mesh.patch("service/ingress", ports, "ingress", kind="json")

    def test_proxies_follow_their_service_to_another_gateway(self):
        other = self.manifests.split("---")[0].replace("name: front, namespace: shop", "name: next, namespace: ingress")
        route = ROUTE.replace("name: front, namespace: shop", "name: next, namespace: ingress").replace("name: front", "name: next")
        route = route.replace("front.example.com", "next.example.com").replace("name: web,", "name: web, namespace: shop,")
        grant = """
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: next, namespace: shop}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: ingress}]
  to: [{group: "", kind: Service, name: web}]
"""
        manifests = other + route + grant
        self.addCleanup(self.answers, [self.address])
        self.addCleanup(self.mesh.kubectl, "delete", "--filename=-", input=manifests)
        self.mesh.apply(manifests)
        self.answers([self.address], "next.example.com")
        reason = lambda: self.mesh.field("gateway/front", '.status.conditions[?(@.type=="Programmed")].reason')
        until("the other Gateway is told", PATIENCE, lambda: reason() == "AddressNotUsable", self.mesh.state)

    def answers(self, addresses, host="front.example.com"):
        for address in addresses:
            until(f"{address} answers", PATIENCE, lambda: self.mesh.ask(host, address) == "OK", self.mesh.state)
