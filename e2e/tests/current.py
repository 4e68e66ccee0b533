"""The cluster that KUBECONFIG names, in the place of those that tests bring up: E2E_CLUSTER=current.

Tombolo's images come from E2E_REGISTRY, or from where the chart has them. What a test needs that only a cluster of e2e/cluster has (its
components, processes, virtual machines, audit log) makes it skipped.
"""

import atexit
import os
import shutil
import subprocess
import unittest

from kubernetes.common import ROOT, Broken

CURRENT = os.environ.get("E2E_CLUSTER") == "current"
REGISTRY = os.environ.get("E2E_REGISTRY")
SYSTEM = "tombolo-system"


def own_needed(what):
    """Skips a test that needs something of a cluster of e2e/cluster, where there is none."""
    if CURRENT:
        raise unittest.SkipTest(f"needs {what}: unset E2E_CLUSTER for a cluster of e2e/cluster")


class CurrentMesh:
    """What tests install there. They change it, and take it away: no other mesh may be in the cluster."""

    def __init__(self):
        self.begun = False

    def begin(self):
        """Nothing of what tests installed is there."""
        for program in ("kubectl", "helm"):
            if not shutil.which(program):
                raise Broken(f"{program} is not in PATH: tests use it, and the cluster that it knows")
        if self.begun:
            return self.end()
        if _run("kubectl", "get", "namespace", SYSTEM, "--ignore-not-found", "--output=name"):
            raise Broken(f"namespace {SYSTEM} is in the cluster: tests take away what is in it; remove it, or take another cluster")
        self.begun = True
        atexit.register(self.end)

    def end(self):
        """Takes away what tests installed; definitions stay, as Helm leaves them."""
        _run("kubectl", "delete", "namespace", "shop", "--ignore-not-found")
        _run("helm", "uninstall", "tombolo", f"--namespace={SYSTEM}", "--ignore-not-found", "--wait")
        _run("kubectl", "delete", "namespace", SYSTEM, "--ignore-not-found")

    def install(self, *helm):
        """Puts Tombolo in it."""
        registry = [f"--set=image.registry={REGISTRY}"] if REGISTRY else []
        chart = ROOT / "charts" / "tombolo"
        _run("helm", "upgrade", "--install", "tombolo", chart, f"--namespace={SYSTEM}", "--create-namespace", *registry, *helm)


MESH = CurrentMesh()


def _run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Broken(f"{' '.join(map(str, words))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout
