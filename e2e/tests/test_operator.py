"""What the operator leaves alone, what it puts back, and what is closed."""

import contextlib
import json
import sys

from kubernetes.common import until

from .mesh import DISCOVERY, PROGRAMS_NEEDED, SYSTEM, MeshTest, Watched, condition, content
from .support import PATIENCE, ROOT_NEEDED

CONNECT = """
import socket, sys
for port in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(port)), 2).close()
        print("open")
    except OSError:
        print("closed")
"""


@ROOT_NEEDED
@PROGRAMS_NEEDED
class OperatorTest(MeshTest):
    def test_the_plaintext_port_is_closed(self):
        pods = self.mesh.field("pods --selector=app.kubernetes.io/name=tombolo-discovery", ".items[*].status.podIP", SYSTEM)
        service = self.mesh.field("service/tombolo-discovery", ".spec.clusterIP", SYSTEM)
        for address in [*pods.split(), service]:
            with self.subTest(address):
                asked = ("exec", "--", sys.executable, "-c", CONNECT, address, "15010", "15012")
                self.assertEqual(self.mesh.run(*asked).split(), ["closed", "open"])

    def test_autoscaling_switched_on_and_off_keeps_the_count(self):
        before = self.mesh.contents()
        deployment = f"deployment/{DISCOVERY}"
        with Watched(self.mesh, deployment, ".spec.replicas") as replicas:
            self.mesh.settings({"discovery": {"autoscaling": {"minReplicas": 1, "maxReplicas": 5}}})
            limits = lambda: [autoscaler["spec"]["maxReplicas"] for autoscaler in self.autoscalers()]
            until("there is an autoscaler", PATIENCE, lambda: limits() == [5], self.mesh.state)
            self.mesh.until_settled()
            self.mesh.kubectl("scale", deployment, f"--namespace={SYSTEM}", "--replicas=3")
            self.mesh.until_settled()
            self.mesh.settings({"discovery": None})
            until("there is no autoscaler", PATIENCE, lambda: not self.autoscalers(), self.mesh.state)
            self.mesh.until_settled()
        self.assertEqual(replicas.distinct(), ["2", "3"])
        with Watched(self.mesh, deployment, ".spec.replicas") as replicas:
            self.mesh.settings({"discovery": {"replicas": 2}})
            self.mesh.until_settled()
            self.mesh.settings({"discovery": None})
            self.mesh.until_settled()
        self.assertEqual(replicas.distinct(), ["3", "2"])
        self.until_equal(before)

    def autoscalers(self):
        return self.mesh.get("horizontalpodautoscalers", f"--namespace={SYSTEM}")["items"]

    def test_what_others_manage_is_left_alone_and_what_is_ours_is_put_back(self):
        for thing, namespace, ours in (
            (f"deployment/{DISCOVERY}", SYSTEM, {"spec": {"progressDeadlineSeconds": 7}}),
            ("service/tombolo-discovery", SYSTEM, {"spec": {"selector": {"istio.io/rev": "other"}}}),
            (f"clusterrole/{DISCOVERY}", "", {"rules": []}),
            ("meshrevisiontag/default", "", {"metadata": {"labels": {"istio.io/tag": "other"}}}),
            ("service/edge-tombolo", "shop", {"metadata": {"labels": {"gateway.networking.k8s.io/gateway-name": "other"}}}),
            ("deployment/edge-tombolo", "shop", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
        ):
            with self.subTest(thing):
                self.change("somebody", thing, namespace, {"metadata": {"annotations": {"example.com/theirs": "kept"}}})
                before = self.contents(thing, namespace)
                self.change("somebody-else", thing, namespace, ours)
                with contextlib.suppress(Exception):
                    until("it is put back", PATIENCE, lambda: self.contents(thing, namespace) == before)
                self.assertEqual(self.contents(thing, namespace), before)
                self.mesh.kubectl("annotate", thing, f"--namespace={namespace}", "example.com/theirs-")
        self.mesh.rollout("edge-tombolo", "shop")
        self.mesh.until_quiet()

    def change(self, manager, thing, namespace, fields):
        """Applies fields by force, as another manager."""
        kind, _, name = thing.partition("/")
        item = self.mesh.get(thing, f"--namespace={namespace}")
        fields = {"apiVersion": item["apiVersion"], "kind": item["kind"], **fields}
        fields["metadata"] = {"name": name, **({"namespace": namespace} if namespace else {}), **fields.get("metadata", {})}
        words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "--filename=-")
        self.mesh.kubectl(*words, input=json.dumps(fields))

    def contents(self, thing, namespace):
        item = content(self.mesh.get(thing, f"--namespace={namespace}"))
        item.pop("status", None)
        return item

    def test_an_intermediate_that_is_of_no_use_is_told_of_and_changes_nothing_else(self):
        before = self.mesh.contents()
        self.assertEqual(self.said("CertificateAuthorityReady")[:2], ("True", "SelfSigned"))
        self.assertEqual(self.said("TrustDomainInEffect")[:2], ("True", "InEffect"))
        files = ("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem")
        self.addCleanup(self.mesh.kubectl, "delete", "secret", "cacerts", f"--namespace={SYSTEM}", "--ignore-not-found")
        secret = ("secret", "generic", "cacerts", f"--namespace={SYSTEM}")
        self.mesh.kubectl("create", *secret, *(f"--from-literal={file}=garbage" for file in files))
        until("it is told of", PATIENCE, lambda: self.said("CertificateAuthorityReady")[0] == "False", self.mesh.state)
        _, reason, message = self.said("CertificateAuthorityReady")
        self.assertEqual(reason, "InvalidSecret")
        for part in ("ca-cert.pem", "what signed before signs on", "mend the Secret"):
            self.assertIn(part, message)
        self.assertEqual([self.said(about)[0] for about in ("Ready", "Degraded")], ["True", "False"], "what signed before signs on")
        regarding = '.items[?(@.regarding.kind=="MeshInstallation")].reason'
        events = lambda: self.mesh.field("events.events.k8s.io", regarding, "default").split()
        until("there is an Event of it", PATIENCE, lambda: "InvalidSecret" in events(), lambda: str(events()))
        self.mesh.until_quiet()
        self.mesh.kubectl("delete", "secret", "cacerts", f"--namespace={SYSTEM}")
        self.until_equal(before)
        self.assertEqual(self.owned_conditions("tombolo-writer"), {"CertificateAuthorityReady", "RootCertificatePublished", "TrustDomainInEffect"})
        self.assertEqual(self.owned_conditions("tombolo-operator"), {"Degraded", "InUse", "Progressing", "Ready"})

    def said(self, about):
        found = condition(self.mesh.get("meshinstallation/default"), about)
        return found and (found["status"], found["reason"], found["message"])

    def owned_conditions(self, manager):
        """The types of the revision's conditions that are a field manager's."""
        entries = self.mesh.get("meshrevision/default", "--show-managed-fields")["metadata"]["managedFields"]
        entries = [entry for entry in entries if (entry["manager"], entry.get("subresource")) == (manager, "status")]
        return {json.loads(key.removeprefix("k:"))["type"] for entry in entries for key in entry["fieldsV1"]["f:status"]["f:conditions"]}

    def test_deletion_without_an_operator_is_complete(self):
        """What it takes away it puts back."""
        installation = self.mesh.get("meshinstallation/default")
        manifest = {**{key: installation[key] for key in ("apiVersion", "kind", "spec")}}
        manifest["metadata"] = {key: installation["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
        root = self.mesh.field("secret/tombolo-ca", ".metadata.uid", SYSTEM)
        before = self.names()
        self.mesh.kubectl("scale", "deployment/tombolo-operator", f"--namespace={SYSTEM}", "--replicas=0")
        gone = ("wait", "--for=delete", "pods", f"--namespace={SYSTEM}", f"--timeout={PATIENCE}s")
        self.mesh.kubectl(*gone, "--selector=app.kubernetes.io/name=tombolo-operator")
        self.mesh.kubectl("delete", "meshinstallation/default")
        with contextlib.suppress(Exception):
            until("all is gone", PATIENCE, lambda: not self.made_by_the_operator(), self.mesh.state)
        self.assertEqual(self.made_by_the_operator(), [])
        self.assertEqual(self.mesh.field("secret/tombolo-ca", ".metadata.uid", SYSTEM), root, "identities outlive an installation")
        self.mesh.kubectl("apply", "--filename=-", input=json.dumps(manifest))
        self.mesh.kubectl("annotate", "meshinstallation/default", "kubectl.kubernetes.io/last-applied-configuration-")
        self.mesh.kubectl("scale", "deployment/tombolo-operator", f"--namespace={SYSTEM}", "--replicas=2")
        self.mesh.rollout("tombolo-operator")
        self.mesh.until_settled()
        self.mesh.wait("condition=Programmed", "gateway/edge", "shop")
        self.assertEqual(self.mesh.ask("shop.example.com", self.address), "OK")
        until("all is there again", PATIENCE, lambda: self.names() == before, lambda: str(before ^ self.names()))

    def names(self):
        return set(self.mesh.objects())

    def made_by_the_operator(self):
        """What the operator made, and the pods that run of it."""
        label = "app.kubernetes.io/managed-by"
        made = [key for key, item in self.mesh.objects().items() if item["metadata"].get("labels", {}).get(label) == "tombolo-operator"]
        pods = self.mesh.field("pods --selector=app.kubernetes.io/name=tombolo-discovery", ".items[*].metadata.name", SYSTEM)
        return made + pods.split()
