"""A mesh from Git: tools that apply the same manifests again and again see no difference, and make us write nothing."""

import pathlib
import re
import tempfile

from kubernetes.common import ROOT

from .mesh import PROGRAMS_NEEDED, SHOP, SYSTEM, MeshTest, differences
from .support import ROOT_NEEDED

MANAGERS = ("argocd-controller", "flux")
SETTINGS = ROOT / "examples" / "gitops" / "mesh" / "installation.yaml"


@ROOT_NEEDED
@PROGRAMS_NEEDED
class GitOpsTest(MeshTest):
    def setUp(self):
        """What a tool says of a field is its own from then on; what the fields say is put back."""
        renewed = ("ConfigMap",)  # the control plane's settings
        self.addCleanup(self.until_equal, self.mesh.contents(renewed), renewed)
        self.addCleanup(self.mesh.settings, {"version": None, "mesh": None})

    def test_repeated_applies_write_nothing_and_find_no_difference(self):
        for manager in MANAGERS:
            with self.subTest(manager):
                self.apply(manager)  # the first time it becomes a manager of the fields
                self.assertEqual(self.written_by(manager), {})

    def test_two_tools_that_force_each_other_make_us_write_nothing(self):
        """
        Routes and the operator's Deployment are in new versions all the same: they have lists that are atomic, and stored with defaults
        that no manifest has, so that to the API server each apply is of another value, and takes the list from the other tool. What is
        stored in it stays the same.
        """
        for manager in MANAGERS:
            self.apply(manager)
        routes = {key for key in self.mesh.objects() if key[:2] == ("HTTPRoute", "shop")}
        self.assertEqual(self.written_by(*MANAGERS).keys(), {*routes, ("Deployment", SYSTEM, "tombolo-operator")})

    def written_by(self, *managers):
        """Applies all again and again, and returns which objects were written; none by us, and none to another content."""
        self.mesh.until_settled()
        self.mesh.until_quiet()
        before, objects, began = self.versions(), self.mesh.contents(), self.mesh.audit.now()
        for _ in range(3):
            for manager in managers:
                self.apply(manager)
                self.assert_no_difference(manager)
        self.mesh.until_quiet(2)
        self.assertEqual(self.mesh.audit.writes(began), [])
        self.assertEqual(differences(objects, self.mesh.contents()), {})
        return differences(before, self.versions())

    def versions(self):
        """What every write changes, whoever writes."""
        return {key: item["metadata"]["resourceVersion"] for key, item in self.mesh.objects().items()}

    def files(self):
        """The example's MeshInstallation, in the trust domain of this mesh: another one is a root of its own."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        settings = pathlib.Path(directory.name, "installation.yaml")
        text = SETTINGS.read_text()
        self.assertIn("trustDomain: example.com", text)
        settings.write_text(re.sub("trustDomain: .*", "trustDomain: cluster.local", text))
        chart = pathlib.Path(directory.name, "chart.yaml")
        chart.write_text(self.mesh.chart("--include-crds", "--set=installation.create=false"))
        return [f"--filename={file}" for file in (settings, chart, SHOP)]

    def apply(self, manager):
        self.mesh.kubectl("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", *self.files())

    def assert_no_difference(self, manager):
        """As the tools look for drift: what would be stored against what is."""
        words = ("diff", "--server-side", "--force-conflicts", f"--field-manager={manager}")
        self.assertEqual(self.mesh.kubectl(*words, *self.files(), check=False), "")
