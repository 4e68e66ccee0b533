"""`tombolo status` and `tombolo proxy-config` against a cluster: by the admin's kubeconfig, and by one that may do no more than the help says."""

import json
import os
import pathlib
import tempfile

from kubernetes.common import until

from .mesh import PROGRAMS, PROGRAMS_NEEDED, MeshTest
from .support import PATIENCE, ROOT_NEEDED

NAMESPACE = "tombolo-system"
# What the help of the commands says that a Role must allow.
ACCESS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: looker, namespace: tombolo-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: looker, namespace: tombolo-system}
rules:
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [pods/portforward], verbs: [get, create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: looker, namespace: tombolo-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: looker}
subjects: [{kind: ServiceAccount, name: looker, namespace: tombolo-system}]
"""


@ROOT_NEEDED
@PROGRAMS_NEEDED
class CommandLineTest(MeshTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = cls.mesh
        cls.files = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.files.cleanup)
        until("a proxy is connected", PATIENCE, cls.proxies, lambda: cls.tombolo("status"))

    @classmethod
    def tombolo(cls, *words, check=True, kubeconfig=None):
        """What the program printed, errors included."""
        environment = ["env", f"KUBECONFIG={kubeconfig}"] if kubeconfig else []
        return cls.cluster.run("exec", "--", *environment, os.path.abspath(f"{PROGRAMS}/tombolo"), *words, check=check)

    @classmethod
    def status(cls):
        return json.loads(cls.tombolo("status", "--output=json"))

    @classmethod
    def proxies(cls):
        return cls.status()["proxies"]

    def test_every_proxy_is_listed_with_the_replica_that_serves_it(self):
        pods = self.cluster.kubectl("get", "pods", "-n=shop", "-l=gateway.networking.k8s.io/gateway-name=edge", "-o=jsonpath={.items[*].metadata.name}")
        replicas = {replica["name"] for replica in self.status()["replicas"]}
        self.assertEqual(len(replicas), 2)
        self.assertEqual([proxy["name"] for proxy in self.proxies()], [f"{pod}.shop" for pod in sorted(pods.split())])
        self.assertLessEqual({proxy["replica"] for proxy in self.proxies()}, replicas)
        table = until("all is synced", PATIENCE, lambda: (said := self.tombolo("status")) and "STALE" not in said and said)
        self.assertRegex(table, r"\.shop +gateway +SYNCED +SYNCED +SYNCED +SYNCED")
        self.assertIn("connected to 2 of 2 replicas (context tombolo)", table)

    def test_a_proxy_is_shown_by_the_beginning_of_its_name(self):
        table = self.tombolo("proxy-config", "edge")
        self.assertRegex(table, r"lds +\S+ +\S+ +SYNCED")
        routes = json.loads(self.tombolo("proxy-config", "edge", "--type=rds", "--output=json"))
        hosts = [host for table in routes for virtual in table["resource"]["virtual_hosts"] for host in virtual["domains"]]
        self.assertTrue(any(host.startswith("shop.example.com") for host in hosts), hosts)
        cluster = json.loads(self.tombolo("proxy-config", "edge", "--type=cds", "--output=json"))[0]["name"]
        named = json.loads(self.tombolo("proxy-config", "edge", "--type=cds", "--name", cluster, "--output=json"))
        self.assertEqual([one["name"] for one in named], [cluster])

    def test_a_name_that_nobody_has_is_an_error_with_those_near_it(self):
        said = self.tombolo("proxy-config", "egde-tombolo", check=False)
        self.assertIn("no proxy egde-tombolo is connected; near: edge-tombolo-", said)

    def test_a_replica_that_does_not_answer_is_a_line(self):
        # By the labels one of them, but nothing listens in it.
        self.cluster.apply("""
            apiVersion: v1
            kind: Pod
            metadata:
              name: tombolo-discovery-deaf
              namespace: tombolo-system
              labels: {app.kubernetes.io/name: tombolo-discovery, istio.io/rev: deaf}
            spec:
              containers: [{name: deaf, image: "registry.k8s.io/coredns/coredns:v1.12.2"}]
        """)
        self.addCleanup(self.cluster.kubectl, "delete", "pod", "tombolo-discovery-deaf", f"-n={NAMESPACE}", "--now")
        self.cluster.wait("condition=Ready", "pod/tombolo-discovery-deaf", NAMESPACE)
        said = self.tombolo("status")
        self.assertRegex(said, r"unreachable: tombolo-discovery-deaf: .*refused")
        self.assertIn("2 of 3 replicas", said)
        self.assertIn("2 of 2 replicas", self.tombolo("status", "--revision=default"))
        self.assertIn("no control plane answers", self.tombolo("status", "--revision=deaf", check=False))

    def test_the_role_that_the_help_names_is_enough_and_without_it_the_error_names_it(self):
        self.cluster.kubectl("apply", "--filename=-", input=ACCESS)
        self.addCleanup(self.cluster.kubectl, "delete", "--ignore-not-found", "--filename=-", input=ACCESS)
        token = self.cluster.kubectl("create", "token", "looker", f"--namespace={NAMESPACE}").strip()
        looker = self.cluster.kubeconfig(pathlib.Path(self.files.name, "looker"), token)
        self.assertIn("2 of 2 replicas", self.tombolo("status", kubeconfig=looker))
        patch = json.dumps({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]})
        self.cluster.kubectl("patch", "role", "looker", f"-n={NAMESPACE}", "--type=merge", f"--patch={patch}")
        self.assertIn("may not create pods/portforward in namespace tombolo-system", self.denied(looker))
        self.cluster.kubectl("delete", "rolebinding", "looker", f"-n={NAMESPACE}")
        self.assertIn("may not list pods in namespace tombolo-system", self.denied(looker))

    def test_what_is_not_there_is_named(self):
        self.assertIn("no control plane runs in namespace shop", self.tombolo("status", "--namespace=shop", check=False))
        self.assertIn("no context \"elsewhere\"", self.tombolo("status", "--context=elsewhere", check=False))
        self.assertIn("there is no kubeconfig", self.tombolo("status", check=False, kubeconfig="/nonexistent"))

    def denied(self, kubeconfig):
        """What the program says once the API server knows of a change of access."""
        return until("access is refused", PATIENCE, lambda: (said := self.tombolo("status", check=False, kubeconfig=kubeconfig)) and "may not" in said and said)
