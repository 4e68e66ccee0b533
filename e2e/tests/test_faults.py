"""Faults while requests go through the gateway: not one fails, and nothing is lost."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from kubernetes.common import ROOT, until

from .mesh import DISCOVERY, PROGRAMS_NEEDED, SYSTEM, MeshTest, Watched, condition
from .support import PATIENCE, ROOT_NEEDED

OUTAGE = float(os.environ.get("E2E_OUTAGE_SECONDS", "60"))  # longer than Leases and watches last
ROUTES = 60
CRASHING = "crashing.test"  # the registry of an image whose program ends at once

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: burst-{number}, namespace: shop, labels: {{burst: "true"}}}}
spec:
  parentRefs: [{{name: edge}}]
  hostnames: [burst-{number}.example.com]
  rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]
---
"""


@ROOT_NEEDED
@PROGRAMS_NEEDED
class FaultsTest(MeshTest):
    def test_the_api_server_away(self):
        since = self.ready_since()
        with self.steady():
            self.mesh.run("stop", "kube-apiserver")
            time.sleep(OUTAGE)  # the time is what is tested
            self.mesh.run("start", "kube-apiserver")
            until("the API server answers", PATIENCE, lambda: "ok" in self.mesh.kubectl("get", "--raw=/readyz", check=False))
            self.assert_edits_are_served()
        self.mesh.until_settled()
        self.assertEqual(self.ready_since(), since, "that is nothing that other pods would do better")

    def ready_since(self):
        """Since when each pod of ours is ready."""
        pods = self.mesh.get("pods", f"--namespace={SYSTEM}")["items"]
        return {pod["metadata"]["name"]: condition(pod, "Ready")["lastTransitionTime"] for pod in pods}

    def assert_edits_are_served(self):
        self.addCleanup(self.mesh.kubectl, "delete", "httproute", "burst-0", "--namespace=shop", "--ignore-not-found")
        self.mesh.apply(ROUTE.format(number=0, backend="web"))
        self.assertEqual(self.mesh.ask("burst-0.example.com", self.address), "OK")
        self.mesh.kubectl("delete", "httproute", "burst-0", "--namespace=shop")

    def test_the_writer_killed_while_it_writes(self):
        self.addCleanup(self.mesh.kubectl, "delete", "httproutes", "--selector=burst", "--namespace=shop")
        with self.steady():
            self.burst("web")
            self.until_statuses_say("True")
            began = self.mesh.audit.now()
            writer = self.mesh.field("lease/tombolo-writer", ".spec.holderIdentity", SYSTEM)
            editing = self.begin_burst("absent")
            until("statuses are being written", PATIENCE, lambda: len(self.statuses_written(began)) > 5)
            self.mesh.kill(writer)
            written = len(self.statuses_written(began))
            self.assertLess(written, ROUTES, "it was killed before it was done")
            self.finish_burst(editing)
            self.until_statuses_say("False")
            self.mesh.kubectl("delete", "httproutes", "--selector=burst", "--namespace=shop")
            self.mesh.rollout(DISCOVERY)

    def begin_burst(self, backend):
        words = ("kubectl", "apply", "--server-side", "--filename=-")
        argv = self.mesh.argv("exec", "--", *words)
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        process.stdin.write("".join(ROUTE.format(number=number, backend=backend) for number in range(ROUTES)))
        process.stdin.close()
        return process

    def finish_burst(self, process):
        self.assertEqual(process.wait(PATIENCE), 0, process.stderr.read())
        process.stderr.close()

    def burst(self, backend):
        self.finish_burst(self.begin_burst(backend))

    def statuses_written(self, after):
        return [uri for _, _, uri in self.mesh.audit.writes(after) if "/httproutes/burst-" in uri]

    def until_statuses_say(self, resolved):
        """Every route's status is about what it says now."""

        def right(route):
            parents = route.get("status", {}).get("parents", [])
            refs = [condition({"status": parent}, "ResolvedRefs") for parent in parents]
            generation = route["metadata"]["generation"]
            return [(entry["status"], entry["observedGeneration"]) for entry in refs] == [(resolved, generation)]

        def wrong():
            routes = self.mesh.get("httproutes", "--namespace=shop", "--selector=burst")["items"]
            return [route["metadata"]["name"] for route in routes if not right(route)] or len(routes) != ROUTES

        until(f"all routes' references are resolved: {resolved}", PATIENCE, lambda: not wrong(), lambda: f"{wrong()}\n{self.mesh.state()}")

    def test_the_control_plane_updated_in_place(self):
        pods = self.pods()
        # Other settings are another ConfigMap.
        with self.steady(renewed=("ConfigMap",)):
            self.addCleanup(self.mesh.settings, {"mesh": None})
            with Watched(self.mesh, f"deployment/{DISCOVERY}", ".status.availableReplicas") as available:
                self.mesh.settings({"mesh": {"network": "other"}})
                self.mesh.until_settled()
                self.assertFalse(pods & self.pods(), "all are new")
                self.mesh.settings({"mesh": None})
                self.mesh.until_settled()
        self.assertGreaterEqual(min(int(count or 0) for count in available.values), len(pods), available.values)

    def pods(self):
        selector = "--selector=app.kubernetes.io/name=tombolo-discovery"
        listed = self.mesh.get("pods", f"--namespace={SYSTEM}", selector)["items"]
        return {pod["metadata"]["name"] for pod in listed if "deletionTimestamp" not in pod["metadata"]}

    def test_images_that_are_not_to_be_had(self):
        pods = self.pods()
        with self.steady(renewed=("ConfigMap",)):
            self.addCleanup(self.mesh.settings, {"images": None})
            self.mesh.settings({"images": {"registry": "absent.test"}})
            said = until("it says why", PATIENCE, self.degraded, self.mesh.state)
            self.assertIn(said["reason"], ("ErrImagePull", "ImagePullBackOff"))
            self.assertIn("absent.test/tombolo", said["message"])
            self.assertIn(f"{len(pods)} serve", said["message"])
            self.assertLessEqual(pods, self.pods(), "the old ones serve")
            self.assertEqual(self.mesh.field(f"deployment/{DISCOVERY}", ".status.availableReplicas", SYSTEM), str(len(pods)))
            self.mesh.settings({"images": None})
            self.mesh.until_settled()
            self.assertFalse(self.degraded())

    def test_a_version_that_crashes(self):
        """In its image the control plane's name is that of a program that knows none of its flags, says so, and exits with 1."""
        pods = self.pods()
        self.load_crashing()
        with self.steady(renewed=("ConfigMap",)):
            self.addCleanup(self.mesh.settings, {"images": None})
            path = ".status.conditions[?(@.type=='Degraded')].status"
            with Watched(self.mesh, "meshinstallation/default", path) as degraded:
                self.mesh.settings({"images": {"registry": CRASHING}})
                crashing = until("it is started again and again", PATIENCE, lambda: self.restarted(pods), self.mesh.state)
                said = until("it says so", PATIENCE, self.degraded, self.mesh.state)
                self.assertEqual(said["reason"], "CrashLoopBackOff")
                for part in (crashing, "exit code 1", "unrecognized option", f"{len(pods)} serve"):
                    self.assertIn(part, said["message"])
                self.assertLessEqual(pods, self.pods(), "the old ones serve")
                self.assertEqual(self.mesh.field(f"deployment/{DISCOVERY}", ".status.availableReplicas", SYSTEM), str(len(pods)))
                self.assert_edits_are_served()
                self.mesh.settings({"images": None})
                self.mesh.until_settled()
        self.assertEqual(degraded.distinct(), ["False", "True", "False"], "it is told once")
        self.assertEqual(self.pods(), pods, "none of them was ended")

    def load_crashing(self):
        """An image of the control plane that is another program."""
        with tempfile.TemporaryDirectory() as directory:
            program, archive = pathlib.Path(directory, "tombolo-discovery"), pathlib.Path(directory, "image.tar")
            shutil.copy(shutil.which("cat"), program)
            tag = f"{CRASHING}/tombolo:{self.mesh.version()}"
            subprocess.run([ROOT / "e2e" / "images", "--tag", tag, "--output", archive, program], check=True, stdout=subprocess.DEVNULL)
            self.mesh.run("load", archive)

    def restarted(self, before):
        """A new pod whose program was started a third time."""
        listed = self.mesh.get("pods", f"--namespace={SYSTEM}", "--selector=app.kubernetes.io/name=tombolo-discovery")["items"]
        counts = {pod["metadata"]["name"]: container["restartCount"] for pod in listed for container in pod["status"].get("containerStatuses", [])}
        return next((name for name, count in counts.items() if count > 1 and name not in before), None)

    def degraded(self):
        said = condition(self.mesh.get("meshinstallation/default"), "Degraded")
        return said if said and said["status"] == "True" else None

    def test_the_gateway_class_deleted_by_force(self):
        def uid():
            return self.mesh.kubectl("get", "gatewayclass/tombolo", "--ignore-not-found", "--output=jsonpath={.metadata.uid}")

        before, gateway = uid(), self.mesh.field("gateway/edge", ".metadata.uid")
        made = self.made()
        with self.steady(renewed=("GatewayClass",)):
            self.mesh.patch("gatewayclass/tombolo", {"metadata": {"finalizers": None}})
            self.mesh.kubectl("delete", "gatewayclass/tombolo", "--wait=false")
            until("there is one again", PATIENCE, lambda: uid() not in ("", before), self.mesh.state)
            self.mesh.wait("condition=Accepted", "gatewayclass/tombolo")
            self.mesh.wait("condition=Programmed", "gateway/edge", "shop")
        self.assertEqual(self.mesh.field("gateway/edge", ".metadata.uid"), gateway)
        self.assertEqual(self.made(), made, "what was made for the Gateway outlived its class")

    def made(self):
        path = ".items[*].metadata.uid"
        return self.mesh.field("deployments,services,serviceaccounts,pods", path).split()
