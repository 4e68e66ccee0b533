"""One cluster, looked at from all sides."""

import json
import os
import pathlib
import signal
import sys
import unittest

from kubernetes import network, programs
from kubernetes.common import until

from .current import own_needed
from .support import PATIENCE, ROOT_NEEDED, TestCluster

# A server with no image of its own: cluster DNS says OK over HTTP when it is asked for its health.
SERVER = """
    apiVersion: v1
    kind: Pod
    metadata: {name: server, labels: {app: server}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: server
          image: registry.k8s.io/coredns/coredns:v1.12.2
          args: [-conf, /etc/coredns/Corefile]
          readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 1}
          securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          volumeMounts:
            - {name: configuration, mountPath: /etc/coredns}
            - {name: token, mountPath: /var/run/secrets/tokens}
      volumes:
        - {name: configuration, configMap: {name: server}}
        - name: token
          projected: {sources: [{serviceAccountToken: {audience: istio-ca, path: istio-token}}]}
    ---
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: server}
    data:
      Corefile: |
        .:5353 {
            health :8080
        }
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: server}
    spec: {type: LoadBalancer, selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: asks}
    spec: {type: LoadBalancer, loadBalancerIP: 10.97.0.77, selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: asks-in-vain}
    spec: {type: LoadBalancer, loadBalancerIP: 10.1.1.1, selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}
"""


@ROOT_NEEDED
class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = TestCluster("test")
        cls.addClassCleanup(cls.cluster.run, "down")
        cls.cluster.run("down")
        cls.cluster.run("up")
        cls.cluster.apply(SERVER)
        cls.cluster.wait("condition=Ready", "pod/server")

    def field(self, thing, path):
        return self.cluster.kubectl("get", thing, f"--output=jsonpath={{{path}}}").strip()

    def address(self, service):
        path = ".status.loadBalancer.ingress[0].ip"
        return until(f"service {service} has an address", PATIENCE, lambda: self.field(f"service/{service}", path))

    def test_a_pod_answers_under_every_address_of_its_service(self):
        addresses = [self.field("service/server", ".spec.clusterIP"), self.address("server"), self.address("asks")]
        ports = [f"{address}:80" for address in addresses]
        ports.append(f"{self.field('pod/server', '.status.podIP')}:8080")
        ports.append(f"{network.NODE}:{self.field('service/server', '.spec.ports[0].nodePort')}")
        for address in ports:
            with self.subTest(address):
                self.assertEqual(self.cluster.fetch(f"http://{address}/health"), "OK")

    def test_a_service_gets_the_address_that_it_asks_for_or_none(self):
        self.assertEqual(self.address("asks"), "10.97.0.77")
        self.assertNotIn(self.address("server"), ["10.97.0.77", "10.97.0.0"])
        self.assertEqual(self.field("service/asks-in-vain", ".status.loadBalancer"), "{}")

    def test_an_address_is_free_again_when_its_service_no_longer_wants_it(self):
        self.cluster.kubectl("create", "service", "loadbalancer", "passing", "--tcp=80:8080")
        given = self.address("passing")
        self.cluster.kubectl("patch", "service", "passing", "--patch", '{"spec": {"type": "ClusterIP"}}')
        until("the address is taken back", PATIENCE, lambda: self.field("service/passing", ".status.loadBalancer") == "{}")
        self.cluster.kubectl("create", "service", "loadbalancer", "next", "--tcp=80:8080")
        self.assertEqual(self.address("next"), given)
        self.cluster.kubectl("delete", "service", "passing", "next")

    def test_logs_and_exec(self):
        self.assertIn("CoreDNS-1.12.2", self.cluster.kubectl("logs", "server"))
        self.assertIn("CoreDNS-1.12.2", self.cluster.kubectl("exec", "server", "--", "/coredns", "-version"))

    def test_names_are_found_by_the_clusters_dns(self):
        """Asked from a virtual machine, whose resolver the cluster's DNS is."""
        self.addCleanup(self.cluster.run, "vm remove", "asks")
        self.cluster.run("vm add", "asks")
        self.assertEqual(self.resolve("server.default.svc.cluster.local"), self.field("service/server", ".spec.clusterIP"))
        self.assertIn("Name or service not known", self.resolve("server.example.com"))

    def resolve(self, name):
        program = f"import socket; print(socket.gethostbyname({name!r}))"
        return self.cluster.run("vm exec", "asks", "--", sys.executable, "-c", program, check=False).strip()

    def test_a_virtual_machine_reaches_what_pods_reach(self):
        self.addCleanup(self.cluster.run, "vm remove", "box")
        self.assertEqual(self.cluster.run("vm add", "box").strip(), "10.98.0.2")
        where = ("vm exec", "box")
        for address in (
            self.field("service/server", ".spec.clusterIP"),
            self.address("server"),
            f"{self.field('pod/server', '.status.podIP')}:8080",
        ):
            with self.subTest(address):
                self.assertEqual(self.cluster.fetch(f"http://{address}/health", where), "OK")
        self.assertIn(network.DNS_SERVICE, self.cluster.run("vm exec", "box", "--", "cat", "/etc/resolv.conf"))

    def test_the_audit_log_names_who_wrote(self):
        self.cluster.kubectl("create", "configmap", "written", "--as=system:serviceaccount:default:somebody", check=False)
        log = pathlib.Path(self.cluster.status()["auditLog"])
        requests = [json.loads(line) for line in log.read_text().splitlines()]
        found = [
            request["verb"] for request in requests if request.get("impersonatedUser", {}).get("username", "").endswith(":somebody")
        ]
        self.assertEqual(found, ["create"])

    def test_tokens_may_be_for_the_meshs_ca(self):
        token = self.cluster.kubectl("create", "token", "default", "--audience=istio-ca").strip()
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": ["istio-ca"]},
        }
        answer = self.cluster.kubectl("create", "--filename=-", "--output=json", input=json.dumps(review))
        self.assertTrue(json.loads(answer)["status"]["authenticated"], answer)

    def test_crds_are_of_the_suites_version(self):
        crd = "crd/gateways.gateway.networking.k8s.io"
        version = self.field(crd, r".metadata.annotations.gateway\.networking\.k8s\.io/bundle-version")
        self.assertEqual(version, f"v{programs.GATEWAY_API}")

    def test_two_clusters_at_once_know_nothing_of_each_other(self):
        other = TestCluster("test-other")
        self.addCleanup(other.run, "down")
        other.run("up", "--gateway-api=experimental")
        self.assertNotIn("server", other.kubectl("get", "pods"))
        self.assertIn("xmeshes", other.kubectl("get", "crds"))
        self.assertNotIn("xmeshes", self.cluster.kubectl("get", "crds"))
        other.run("down")
        self.assertEqual(self.cluster.fetch(f"http://{self.address('server')}/health"), "OK")

    def test_up_starts_what_does_not_run_and_nothing_else(self):
        before = self.pids()
        self.cluster.run("stop", "kube-apiserver")
        self.assertFalse(self.cluster.status()["up"])
        self.cluster.run("up")
        after = self.pids()
        self.assertEqual([name for name in before if before[name] != after[name]], ["kube-apiserver"])

    def test_it_keeps_its_channel_of_crds(self):
        said = self.cluster.run("up --gateway-api=experimental", check=False)
        self.assertIn("cluster test has CRDs of channel standard: take another --name", said)
        self.cluster.run("up --gateway-api=standard")

    def test_pods_outlive_all_components(self):
        address = self.address("server")
        for pid in self.pids().values():
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.cluster.fetch(f"http://{address}/health"), "OK")
        self.cluster.run("up")
        self.assertEqual(self.cluster.fetch(f"http://{address}/health"), "OK")
        self.assertEqual(self.field("pod/server", ".status.containerStatuses[0].restartCount"), "0")

    def pids(self):
        return {name: component["pid"] for name, component in self.cluster.status()["components"].items()}


@ROOT_NEEDED
class MistakesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        own_needed("`e2e/cluster`")

    def assert_refused(self, message, command, *words, name="absent"):
        with self.assertRaises(AssertionError) as refused:
            TestCluster(name).run(command, *words)
        self.assertIn(message, str(refused.exception))
        self.assertNotIn("Traceback", str(refused.exception))

    def test_what_needs_a_cluster_says_so(self):
        for command, *words in (
            ("exec", "true"),
            ("load", __file__),
            ("vm add", "box"),
            ("vm exec", "box", "true"),
            ("start", "etcd"),
            ("stop", "etcd"),
        ):
            with self.subTest(command):
                self.assert_refused("is not up", command, *words)

    def test_a_machine_that_is_not_there_cannot_be_removed(self):
        self.assert_refused("cluster absent has no machine box", "vm remove", "box")

    def test_names_are_names(self):
        self.assert_refused("cluster name '../x'", "up", name="../x")
        self.assert_refused("machine name 'A'", "vm add", "A")
