"""The keys and certificates of a cluster, and the kubeconfigs that hold them."""

import base64
import json

from .common import output
from .network import API_SERVER, API_SERVICE, NODE

# Who talks to the API server, by the user and group that its certificate names.
USERS = {
    "admin": "/O=system:masters/CN=admin",
    "node": "/O=system:nodes/CN=system:node:node0",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "load-balancer": "/CN=load-balancer",
}
API_NAMES = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"]
CONFIGURATION = "[req]\ndistinguished_name = name\n[name]\n"
KEY_IDENTIFIERS = ("subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid")  # strict verifiers ask for them
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Pki:
    def __init__(self, directory, server=API_SERVER):
        self.directory = directory
        self.server = server

    def path(self, name):
        return self.directory / name

    def create(self):
        """Makes everything anew."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self.path("openssl.conf").write_text(CONFIGURATION)
        self._root("ca")
        self._root("front-proxy-ca")  # one of its own: it may speak for anyone
        addresses = [f"IP:{address}" for address in (API_SERVICE, NODE, "127.0.0.1")]
        self._issue("apiserver", "/CN=kube-apiserver", [f"DNS:{name}" for name in API_NAMES] + addresses)
        self._issue("front-proxy", "/CN=front-proxy", authority="front-proxy-ca")
        for user, subject in USERS.items():
            self._issue(user, subject, [f"IP:{NODE}", "DNS:node0"] if user == "node" else [])
            self.path(f"{user}.kubeconfig").write_text(self._kubeconfig(user))
        output("openssl", "genrsa", "-out", self.path("service-accounts.key"), "2048")
        output("openssl", "rsa", "-in", self.path("service-accounts.key"), "-pubout", "-out", self.path("service-accounts.pub"))

    def _root(self, name):
        self._request(
            name, f"/CN=tombolo-test-{name}", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"
        )

    def _issue(self, name, subject, sans=(), authority="ca"):
        extensions = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth,clientAuth"]
        if sans:
            extensions.append("subjectAltName=" + ",".join(sans))
        signer = ("-CA", self.path(f"{authority}.crt"), "-CAkey", self.path(f"{authority}.key"))
        self._request(name, subject, *extensions, signer=signer)

    def _request(self, name, subject, *extensions, signer=()):
        files = ("-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.crt"))
        added = [word for extension in (*extensions, *KEY_IDENTIFIERS) for word in ("-addext", extension)]
        output(
            "openssl",
            "req",
            "-x509",
            "-config",
            self.path("openssl.conf"),
            *KEY,
            *files,
            "-days",
            "3650",
            "-subj",
            subject,
            *added,
            *signer,
        )

    def _kubeconfig(self, user):
        authority, certificate, key = (
            base64.b64encode(self.path(name).read_bytes()).decode() for name in ("ca.crt", f"{user}.crt", f"{user}.key")
        )
        cluster = {"server": self.server, "certificate-authority-data": authority}
        credentials = {"client-certificate-data": certificate, "client-key-data": key}
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tombolo", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "tombolo", "context": {"cluster": "tombolo", "user": user}}],
            "current-context": "tombolo",
        }
        return json.dumps(configuration, indent=2)
