"""The runner of the conformance suite; what the suite itself says is for others to judge."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from .support import ROOT_NEEDED, TestCluster

COMMAND = pathlib.Path(__file__).resolve().parent.parent / "conformance" / "run"


@ROOT_NEEDED
class ConformanceTest(unittest.TestCase):
    def run_suite(self, **environment):
        done = subprocess.run(
            [COMMAND],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        self.assertNotIn("Traceback", done.stdout)
        return done.returncode, done.stdout

    def test_its_exit_status_is_the_suites(self):
        """Nobody serves the class here, so the suite fails, and its log says why."""
        cluster = TestCluster("test-conformance")
        self.addCleanup(cluster.run, "down")
        cluster.run("up", "--gateway-api=experimental")
        with tempfile.TemporaryDirectory() as directory:
            report = pathlib.Path(directory, "report.yaml")
            status, said = self.run_suite(CLUSTER=cluster.name, REPORT=str(report))
            self.assertEqual(status, 1, said)
            self.assertRegex(said, r"conformance suite v[0-9.]+: exit status 1, [0-9]+ s")
            self.assertIn('gatewayclasses.gateway.networking.k8s.io "tombolo" not found', report.with_suffix(".log").read_text())

    def test_without_a_cluster_it_says_what_to_do(self):
        status, said = self.run_suite(CLUSTER="absent")
        self.assertEqual(status, 1)
        self.assertIn("e2e/cluster up --name absent", said)
