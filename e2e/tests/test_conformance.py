"""The official Gateway API suite, against Tombolo in a cluster; and its runner."""

import os
import pathlib
import subprocess
import unittest

from kubernetes.common import CACHE

from .current import own_needed
from .mesh import PROGRAMS_NEEDED, Mesh
from .support import ROOT_NEEDED

REPORT = CACHE / "conformance.yaml"  # kept, with the log beside it
COMMAND = pathlib.Path(__file__).resolve().parent.parent / "conformance" / "run"
# How many tests of GATEWAY-HTTP there are for what every implementation has, and for the features that the class claims.
CORE, EXTENDED = 36, 34


class ConformanceTest(unittest.TestCase):
    def run_suite(self, **environment):
        done = subprocess.run(
            [COMMAND],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1200,
            check=False,
        )
        self.assertNotIn("Traceback", done.stdout)
        return done.returncode, done.stdout

    def test_without_a_cluster_it_says_what_to_do(self):
        own_needed("`e2e/cluster`")
        status, said = self.run_suite(CLUSTER="absent")
        self.assertEqual(status, 1)
        self.assertIn("e2e/cluster up --name absent", said)

    @ROOT_NEEDED
    @PROGRAMS_NEEDED
    def test_tombolo_conforms(self):
        """Before it is installed, nobody serves the class: that fails, and the log says why."""
        cluster = Mesh("e2e-conformance")
        cluster.begin("--gateway-api=experimental")
        self.addCleanup(cluster.end)
        status, said = self.run_suite(CLUSTER=cluster.name, REPORT=str(REPORT))
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"conformance suite v[0-9.]+: exit status 1, [0-9]+ s")
        self.assertIn('gatewayclasses.gateway.networking.k8s.io "tombolo" not found', REPORT.with_suffix(".log").read_text())
        cluster.install()
        status, said = self.run_suite(CLUSTER=cluster.name, REPORT=str(REPORT))
        print(said.strip().splitlines()[-3])
        self.assertEqual(status, 0, said)
        self.check(REPORT.read_text())

    def check(self, report):
        self.assertRegex(report, rf"core:\n +result: success\n +statistics:\n +Failed: 0\n +Passed: {CORE}\n +Skipped: 0")
        self.assertRegex(report, rf"extended:\n +result: success\n +statistics:\n +Failed: 0\n +Passed: {EXTENDED}\n +Skipped: 0")
