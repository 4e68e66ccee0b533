"""Images of this machine's programs: the same bytes every time, one layer shared, and pods that run them with no rights at all."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import unittest

from kubernetes import image

from .support import ROOT_NEEDED, TestCluster

COMMAND = pathlib.Path(__file__).resolve().parent.parent / "images"
OPENSSL = shutil.which("openssl")  # any program that has libraries of its own
ENV = shutil.which("env")

POD = """
    apiVersion: v1
    kind: Pod
    metadata: {name: openssl}
    spec:
      restartPolicy: Never
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: openssl
          image: images-test:1
          args: [version]
          securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""


class ImagesTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)

    def make(self, name, *programs, tag="images-test:1", check=True):
        file = self.directory / name
        command = [COMMAND, "--tag", tag, "--output", file, *programs]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode == 0, check, done.stdout)
        return file if check else done.stdout

    def test_the_same_programs_make_the_same_bytes(self):
        copy = shutil.copy(OPENSSL, self.directory / "openssl")  # with other times
        self.assertEqual(self.make("a.tar", OPENSSL, ENV).read_bytes(), self.make("b.tar", copy, ENV).read_bytes())

    def test_images_share_their_first_layer_and_a_program_has_its_own(self):
        one, other = (layers(self.make(f"{name}.tar", *programs)) for name, *programs in (("one", OPENSSL), ("two", ENV, OPENSSL)))
        self.assertEqual(one[0], other[0])
        self.assertEqual(one[1], other[2])

    def test_what_is_no_program_is_refused(self):
        self.assertIn("absent", self.make("c.tar", "/usr/bin/absent", check=False))
        self.assertFalse((self.directory / "c.tar").exists())

    def test_order_of_files_does_not_matter(self):
        files = {"/b": b"1", "/a/c": b"2", "/d": None}
        self.assertEqual(image.layer(files), image.layer(dict(reversed(files.items()))))

    @ROOT_NEEDED
    def test_a_pod_runs_them_with_no_rights(self):
        cluster = TestCluster("test-images")
        self.addCleanup(cluster.run, "down")
        cluster.run("up", "--gateway-api=none")
        cluster.run("load", self.make("openssl.tar", OPENSSL))
        cluster.apply(POD)
        cluster.wait("jsonpath={.status.phase}=Succeeded", "pod/openssl")
        self.assertIn("OpenSSL 3", cluster.kubectl("logs", "openssl"))


def layers(archive):
    """The digests of an image's layers, which its configuration must name."""
    with tarfile.open(archive) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))
        digests = [hashlib.sha256(tar.extractfile(layer).read()).hexdigest() for layer in manifest["Layers"]]
        configuration = json.load(tar.extractfile(manifest["Config"]))
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in digests]
    return digests
