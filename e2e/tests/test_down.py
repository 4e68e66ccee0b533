"""Nothing is left of a cluster, whatever of it still lived."""

import os
import shutil
import signal
import subprocess
import unittest

from kubernetes import components
from kubernetes.cluster import CLUSTERS
from kubernetes.common import until

from .support import PATIENCE, ROOT_NEEDED, TestCluster
from .traces import difference, inhabitants, namespaces, now, traces


@ROOT_NEEDED
class DownTest(unittest.TestCase):
    def setUp(self):
        self.cluster = TestCluster("test-down")
        self.cluster.run("down")
        self.addCleanup(self.cluster.run, "down")
        self.before = traces(self.cluster.name)
        self.cluster.run("up")
        self.cluster.run("vm add", "box")
        status = self.cluster.status()
        self.node_spaces = namespaces(status["pid"])
        self.spaces = self.node_spaces | namespaces(status["machines"]["box"]["pid"])

    def assert_nothing_is_left_after_down(self, began=None):
        """`began`: when namespaces may have begun to go. Others may have their numbers from then on."""
        began = began or now()
        self.cluster.run("down")
        self.assertEqual(difference(self.before, traces(self.cluster.name)), {})
        self.assertEqual(inhabitants(self.spaces, began), {})

    def assert_up_says_why_it_fails(self):
        data = CLUSTERS / self.cluster.name / "etcd"
        shutil.rmtree(data)
        data.write_text("no directory\n")
        self.assertRegex(self.cluster.run("up", check=False), r"(?s)^etcd ended:.*not a directory")

    def test_of_one_that_runs(self):
        self.assertGreater(len(inhabitants(self.spaces)), len(components.NAMES))
        self.assertIn("cgroups", difference(self.before, traces(self.cluster.name)))
        self.assert_nothing_is_left_after_down()

    def test_while_commands_run_in_it(self):
        commands = [
            subprocess.Popen(self.cluster.argv("exec", "--", "sleep", "infinity")),
            subprocess.Popen(self.cluster.argv("vm exec", "box", "--", "sleep", "infinity")),
        ]
        until("both commands run", PATIENCE, lambda: {command.pid for command in commands} <= set(inhabitants(self.spaces)))
        began = now()
        self.cluster.run("down")
        self.assertEqual([command.wait(PATIENCE) for command in commands], [-signal.SIGKILL] * 2)
        self.assert_nothing_is_left_after_down(began)

    def test_of_one_whose_components_were_killed(self):
        for name in components.NAMES:
            os.kill(self.cluster.pid(name), signal.SIGKILL)
        self.assertFalse(self.cluster.status()["up"])
        self.assert_up_says_why_it_fails()
        self.assert_nothing_is_left_after_down()

    def test_of_one_whose_first_process_was_killed(self):
        began = now()
        os.kill(self.cluster.status()["pid"], signal.SIGKILL)
        until("the node's processes end with the first", PATIENCE, lambda: not inhabitants(self.node_spaces, began))
        self.assert_nothing_is_left_after_down(began)
