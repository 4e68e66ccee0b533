"""A first installation in a cluster without the Gateway API, and with a certificate authority of one's own."""

import contextlib
import json
import pathlib
import tempfile
import unittest

from kubernetes import programs
from kubernetes.common import output, until

from .mesh import DISCOVERY, PROGRAMS_NEEDED, SHOP, SYSTEM, Mesh, condition, is_ready
from .support import PATIENCE, ROOT_NEEDED

ROUTES = "customresourcedefinition/httproutes.gateway.networking.k8s.io"
KINDS = "meshrevisions,meshrevisiontags,deployments,services,serviceaccounts,configmaps,clusterroles,clusterrolebindings,validatingwebhookconfigurations"
GROUP = "gateway.networking.k8s.io"


class Authority:
    """A root, kept off the cluster, and intermediates of it."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        (self.directory / "openssl.conf").write_text("[req]\ndistinguished_name = name\n[name]\n")
        self._make("root")

    def _make(self, name, *signer):
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash")
        extensions += ("authorityKeyIdentifier=keyid",)
        added = [word for extension in extensions for word in ("-addext", extension)]
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.file(f"{name}.key"))
        what = ("-out", self.file(f"{name}.crt"), "-days", "3650", "-subj", f"/O=shop/CN={name}")
        output("openssl", "req", "-x509", "-config", self.file("openssl.conf"), *key, *what, *added, *signer)

    def file(self, name):
        return self.directory / name

    def secret(self, name):
        """A Secret `cacerts` with a new intermediate."""
        self._make(name, "-CA", self.file("root.crt"), "-CAkey", self.file("root.key"))
        own, root = self.file(f"{name}.crt").read_text(), self.file("root.crt").read_text()
        files = {"ca-cert.pem": own, "ca-key.pem": self.file(f"{name}.key").read_text(), "cert-chain.pem": own + root, "root-cert.pem": root}
        return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cacerts", "namespace": SYSTEM}, "stringData": files})


@ROOT_NEEDED
@PROGRAMS_NEEDED
class FirstTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.authority = Authority(directory.name)
        cls.mesh = Mesh("e2e-first")
        cls.mesh.begin("--gateway-api", "none")
        cls.addClassCleanup(cls.mesh.end)
        cls.mesh.kubectl("create", "namespace", SYSTEM)
        cls.mesh.apply(cls.authority.secret("first"))
        cls.mesh.install()

    def tearDown(self):
        self.assertEqual(self.mesh.errors(), [])

    def test_gateways_are_served_from_when_they_are_defined(self):
        """The control planes that run go on, whatever of the Gateway API comes and goes."""
        self.until_said("GatewayAPI", "False", "Missing", "Gateways are not served")
        planes = self.planes()
        definitions = programs.gateway_api("standard").read_text()
        self.define(definitions)
        self.until_said("GatewayAPI", "True", "Installed", "")
        self.mesh.kubectl("apply", f"--filename={SHOP}")
        self.mesh.wait("condition=Programmed", "gateway/edge", "shop")
        address = self.mesh.field("gateway/edge", ".status.addresses[0].value")
        self.assertEqual(self.mesh.ask("shop.example.com", address), "OK")

        self.mesh.kubectl("delete", ROUTES)
        self.until_said("GatewayAPI", "False", "Missing", "there are no httproutes")
        until("the route is gone", PATIENCE, lambda: self.mesh.code("shop.example.com", address) == "404", self.mesh.state)
        self.define(definitions)
        self.until_said("GatewayAPI", "True", "Installed", "")
        self.mesh.kubectl("apply", f"--filename={SHOP}")
        until("it is there again", PATIENCE, lambda: self.mesh.code("shop.example.com", address) == "200", self.mesh.state)

        self.mesh.kubectl("delete", "customresourcedefinitions", *self.defined(), f"--timeout={PATIENCE}s")
        self.until_said("GatewayAPI", "False", "Missing", "Gateways are not served")
        made = ("deployments", "--namespace=shop", "--selector=gateway.networking.k8s.io/gateway-name", "--output=name")
        until("the gateway is gone", PATIENCE, lambda: self.mesh.kubectl("get", *made) == "", self.mesh.state)
        self.mesh.until_settled()
        self.assertEqual(self.planes(), planes, "none began anew")

    def define(self, definitions):
        self.mesh.kubectl("apply", "--server-side", "--filename=-", input=definitions)
        for name in self.defined():
            self.mesh.wait("condition=Established", f"customresourcedefinition/{name}")

    def defined(self):
        items = self.mesh.get("customresourcedefinitions")["items"]
        return [item["metadata"]["name"] for item in items if item["spec"]["group"] == GROUP]

    def until_said(self, about, status, reason, message):
        """Until the installation says this of something."""

        def said():
            found = condition(self.mesh.get("meshinstallation/default"), about) or {}
            return (found.get("status"), found.get("reason")) == (status, reason) and message in found["message"]

        until(f"{about} is {status}, {reason}: {message}", PATIENCE, said, self.mesh.state)

    def planes(self):
        """The control planes that are ready, and how often each began anew."""
        pods = self.mesh.get("pods", "--selector=app.kubernetes.io/name=tombolo-discovery", f"--namespace={SYSTEM}")["items"]
        return {pod["status"]["podIP"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods if is_ready(pod)}

    def test_every_replica_signs_by_the_intermediate_of_the_secret(self):
        self.addCleanup(self.mesh.apply, self.authority.secret("first"))
        self.until_signed_by("first")
        self.mesh.apply(self.authority.secret("second"))  # of the same root: nobody has anything to learn first
        self.until_signed_by("second")
        trusted = self.mesh.field("configmap/istio-ca-root-cert", r".data.root-cert\.pem", "default")
        self.assertEqual(trusted, self.authority.file("root.crt").read_text().strip())

    def until_signed_by(self, name):
        planes = self.planes()
        self.assertEqual(len(planes), 2)
        for address in planes:
            signer = lambda: self.signer_of(f"{address}:15012")
            until(f"{address} is signed by {name}", PATIENCE, lambda: f"CN = {name}" in signer(), lambda: signer() + self.mesh.state())
        self.until_said("CertificateAuthorityReady", "True", "Provided", "")

    def signer_of(self, server):
        """Whose name is in a server's certificate, as who signed it."""
        command = f"openssl s_client -connect {server} < /dev/null 2> /dev/null | openssl x509 -noout -issuer"
        return self.mesh.run("exec", "--", "timeout", "10", "sh", "-c", command, check=False)

    def test_a_deletion_in_the_foreground_ends(self):
        """The operator makes nothing anew of what goes before its owner."""
        installation = self.mesh.get("meshinstallation/default")
        manifest = {key: installation[key] for key in ("apiVersion", "kind", "spec")}
        manifest["metadata"] = {key: installation["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
        words = ("get", KINDS, "--all-namespaces", "--selector=app.kubernetes.io/managed-by=tombolo-operator", "--output=name")
        made = lambda: self.mesh.kubectl(*words).split()
        self.assertIn(f"deployment.apps/{DISCOVERY}", made())
        self.mesh.kubectl("delete", "meshinstallation/default", "--cascade=foreground", f"--timeout={PATIENCE}s")
        with contextlib.suppress(Exception):
            until("all is gone", PATIENCE, lambda: not made(), self.mesh.state)
        self.assertEqual(made(), [])
        self.mesh.apply(json.dumps(manifest))
        self.mesh.until_settled()
