"""The chart: what Helm makes of it in both its versions, and what an upgrade and the end of a release leave."""

import contextlib
import pathlib
import re
import shutil
import tempfile
import unittest

from kubernetes import programs
from kubernetes.common import ROOT, until

from .current import own_needed
from .mesh import PROGRAMS_NEEDED, SHOP, SYSTEM, Load, Mesh, differences
from .support import PATIENCE, ROOT_NEEDED

CHART = ROOT / "charts" / "tombolo"
REGISTRY = "image.registry=tombolo.test"
BEFORE = "0.0.9"  # the version before, as far as a chart and its images' tags go; its programs are those of this version
VERSION = "mesh.tombolo.dev/crd-version"

# What an uninstalled release leaves in its namespace, and what Kubernetes has there.
STAYS = {
    "secret/tombolo-ca",
    "configmap/tombolo-ca-root-cert",
    "configmap/istio-ca-root-cert",
    "lease.coordination.k8s.io/tombolo-writer",
    "lease.coordination.k8s.io/tombolo-operator",
    "configmap/kube-root-ca.crt",
    "serviceaccount/default",
}

# What only the version before had.
DROPPED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: tombolo-dropped, namespace: tombolo-system}
"""


@ROOT_NEEDED
@PROGRAMS_NEEDED
class ChartTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        own_needed("Helm in both its versions")
        programs.build()  # with Helm 3
        cls.mesh = Mesh("e2e-chart")
        cls.mesh.begin()
        cls.addClassCleanup(cls.mesh.end)
        cls.mesh.load_images(BEFORE)
        cls.mesh.kubectl("create", "namespace", SYSTEM)

    def helm(self, *words, program="helm"):
        return self.mesh.run("exec", "--", program, *words)

    def install(self, chart=CHART, program="helm", *words):
        self.helm("install", "tombolo", chart, f"--namespace={SYSTEM}", f"--set={REGISTRY}", *words, program=program)

    def test_lint(self):
        for program in ("helm", "helm3"):
            with self.subTest(program):
                self.assertIn("0 chart(s) failed", self.helm("lint", CHART, "--strict", program=program))

    def test_values_are_checked(self):
        for value in ("operator.replicas=-1", "operator.replica=1", "installation.name=Default", "installation.spec.namespace=a"):
            with self.subTest(value), self.assertRaisesRegex(AssertionError, "(?i)schema"):
                self.helm("template", CHART, f"--set={value}")

    def test_what_opens_the_registry_opens_it_to_the_mesh(self):
        """Unless the installation says something else of it."""
        given = "--set=enabled=true,image.registry=private.test,image.pullSecrets={one,two},image.pullPolicy=Always"
        cases = (
            ((), ["one", "two"]),
            (("--set=installation.spec.images.pullSecrets={own}",), ["own"]),
            (('--set-json=installation.spec.images={"pullSecrets":[]}',), []),
        )
        for more, secrets in cases:
            for program in ("helm", "helm3"):
                with self.subTest(program, more=more):
                    rendered = self.helm("template", "tombolo", CHART, f"--namespace={SYSTEM}", "--kube-version=1.35.0", given, *more, program=program)
                    installation = next(item for item in self.mesh.read(rendered) if item["kind"] == "MeshInstallation")
                    self.assertEqual(installation["spec"]["images"], {"pullPolicy": "Always", "pullSecrets": secrets})

    def test_without_an_installation_it_says_how_to_make_one(self):
        """What it says can be put into a shell."""
        said = self.helm("install", "tombolo", CHART, f"--namespace={SYSTEM}", "--dry-run=server", "--set=installation.create=false")
        command = re.search(r"^kubectl apply -f - <<EOF\n.*^EOF$", said, re.MULTILINE | re.DOTALL)[0]
        self.mesh.apply((CHART / "crds" / "meshinstallations.mesh.tombolo.dev.yaml").read_text())
        self.mesh.wait("condition=Established", "customresourcedefinition/meshinstallations.mesh.tombolo.dev")
        self.assertIn("meshinstallation.mesh.tombolo.dev/default created", self.mesh.run("exec", "--", "sh", "-c", command))
        self.mesh.kubectl("delete", "meshinstallation/default")

    def test_what_is_installed_is_the_same_by_helm_3_by_helm_4_and_by_kubectl(self):
        """Without an operator, so that only what the chart makes is there."""
        off = ("--set=operator.replicas=0",)
        made = {}
        for program in ("helm", "helm3"):
            self.forget_definitions()
            self.install(CHART, program, *off)
            made[program] = self.contents()
            self.helm("uninstall", "tombolo", f"--namespace={SYSTEM}", program=program)
            self.assert_uninstalled()
        template = ("template", "tombolo", CHART, f"--namespace={SYSTEM}", f"--set={REGISTRY}", "--include-crds", *off)
        manifests = self.helm(*template)
        self.forget_definitions()
        # The definition of a kind comes before its objects, and is there only a moment later.
        until("all is applied", PATIENCE, lambda: "error" not in self.apply(manifests), lambda: self.apply(manifests))
        made["kubectl"] = self.contents()
        self.mesh.kubectl("delete", "--filename=-", "--ignore-not-found", input=self.helm(*template[:-2], *off))
        self.assert_uninstalled()
        self.assertGreater(len(made["helm"]), 10)
        self.assertEqual(differences(made["helm"], made["helm3"]), {})
        self.assertEqual(differences(made["helm"], made["kubectl"]), {})

    def apply(self, manifests):
        return self.mesh.kubectl("apply", "--server-side", "--filename=-", input=manifests, check=False).lower()

    def contents(self):
        """What a release made, without Helm's own books."""
        found = {}
        for key, item in self.mesh.contents().items():
            labels = item["metadata"].get("labels", {})
            definition = key[0] == "CustomResourceDefinition" and "gateway.networking" not in key[2]
            if definition or labels.get("app.kubernetes.io/instance") == "tombolo":
                annotations = item["metadata"].get("annotations", {})
                item["metadata"]["annotations"] = {name: value for name, value in annotations.items() if "meta.helm.sh" not in name}
                item["metadata"].pop("uid")
                item.pop("status", None)
                found[key] = item
        return found

    def assert_uninstalled(self):
        """Nothing of a release is left but definitions."""
        with contextlib.suppress(Exception):
            until("all is gone", PATIENCE, lambda: not self.left())
        self.assertEqual(self.left(), [])

    def left(self):
        return [key for key in self.contents() if key[0] != "CustomResourceDefinition"] + self.made_by_the_operator()

    def made_by_the_operator(self):
        label = "app.kubernetes.io/managed-by"
        return [key for key, item in self.mesh.objects().items() if item["metadata"].get("labels", {}).get(label) == "tombolo-operator"]

    def test_upgrade_from_the_version_before_and_the_end(self):
        """A release of Helm 3's that Helm 4 upgrades, under requests; then what is left of it."""
        self.forget_definitions()
        self.install(self.chart_before(), "helm3")
        self.mesh.until_settled()
        self.assertEqual(self.operators(), {f"tombolo.test/tombolo:{BEFORE}"})
        self.mesh.kubectl("apply", f"--filename={SHOP}")
        self.mesh.wait("condition=Programmed", "gateway/edge", "shop")
        address = self.mesh.field("gateway/edge", ".status.addresses[0].value")
        self.mesh.ask("shop.example.com", address)
        theirs = self.users_objects()
        with Load(self.mesh, address) as load:
            self.helm("upgrade", "tombolo", CHART, f"--namespace={SYSTEM}", f"--set={REGISTRY}")
            self.mesh.rollout("tombolo-operator")
            self.assertEqual(self.operators(), {f"tombolo.test/tombolo:{self.mesh.version()}"})
            self.mesh.until_settled()
            self.assertEqual(self.mesh.kubectl("get", "configmap", "tombolo-dropped", f"--namespace={SYSTEM}", "--ignore-not-found"), "")
            definitions = self.mesh.get("customresourcedefinitions", *self.definitions())["items"]
            versions = {item["metadata"]["annotations"][VERSION] for item in definitions}
            self.assertEqual(versions, {self.mesh.version()}, "the operator replaced what Helm leaves alone")
        self.assertEqual(load.failed, 0, load.said)
        with Load(self.mesh, address) as load:
            self.helm("uninstall", "tombolo", f"--namespace={SYSTEM}", "--wait")
            self.assert_uninstalled()
        self.assertEqual(load.failed, 0, load.said)
        self.assertEqual(len(self.mesh.get("customresourcedefinitions", *self.definitions())["items"]), 6)
        self.assertEqual(differences(theirs, self.users_objects()), {}, "what users made outlives the mesh")
        stays = self.mesh.kubectl("get", "all,secrets,configmaps,leases,roles,rolebindings,serviceaccounts", f"--namespace={SYSTEM}", "--output=name")
        self.assertEqual(set(stays.split()), STAYS, "as the chart's README says")

    def forget_definitions(self):
        """No release was ever here."""
        self.mesh.kubectl("delete", "customresourcedefinitions", *self.definitions(), "--ignore-not-found")

    def definitions(self):
        """The names of the definitions in the chart."""
        return [path.stem for path in (CHART / "crds").glob("*.yaml")]

    def operators(self):
        """The images that operators run, those that are being ended aside: a rollout does not wait for them."""
        pods = self.mesh.get("pods", "--selector=app.kubernetes.io/name=tombolo-operator", f"--namespace={SYSTEM}")["items"]
        running = (pod for pod in pods if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"])
        return {pod["spec"]["containers"][0]["image"] for pod in running}

    def users_objects(self):
        """Without status: nobody keeps it when the mesh is gone."""
        contents = self.mesh.contents()
        return {key: {**item, "status": None} for key, item in contents.items() if key[1] == "shop" and "root-cert" not in key[2]}

    def chart_before(self):
        """The chart as if an earlier version had published it: with that version at everything that names one, and what it alone had."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        chart = pathlib.Path(shutil.copytree(CHART, pathlib.Path(directory.name, "tombolo")))
        for path in (chart / "Chart.yaml", *(chart / "crds").glob("*.yaml")):
            text, count = re.subn(rf"(ersion: [\"']?){re.escape(self.mesh.version())}", rf"\g<1>{BEFORE}", path.read_text())
            self.assertGreater(count, 0, path)
            path.write_text(text)
        (chart / "templates" / "dropped.yaml").write_text(DROPPED)
        return chart
