"""What tests of clusters share: the command, and waiting."""

import json
import os
import pathlib
import subprocess
import sys
import textwrap
import unittest

from kubernetes.common import until

from .current import CURRENT, own_needed

COMMAND = pathlib.Path(__file__).resolve().parent.parent / "cluster"
ROOT_NEEDED = unittest.skipUnless(CURRENT or os.geteuid() == 0 or os.environ.get("CI") == "true", "clusters need root")
PATIENCE = 180  # seconds; only failures take that long
# Seconds for which nothing may be written where nothing happens.
IDLE = int(os.environ.get("E2E_IDLE_SECONDS") or (20 if os.environ.get("CI") == "true" else 120))


def documents(printed):
    """The objects that kubectl printed as JSON, one after another, lists taken apart."""
    decoder, objects = json.JSONDecoder(), []
    while printed := printed.lstrip():
        item, end = decoder.raw_decode(printed)
        objects += item["items"] if item["kind"] == "List" else [item]
        printed = printed[end:]
    return objects


class TestCluster:
    """A cluster by its command line, as people use it."""

    def __init__(self, name):
        self.name = name

    def argv(self, command, *words):
        """The command line `e2e/cluster COMMAND --name NAME WORDS…`; in the current cluster, that of `exec -- WORDS…` is WORDS."""
        if CURRENT and command == "exec":
            return words[1:]
        own_needed(f"`e2e/cluster {command}`")
        return [COMMAND, *command.split(), "--name", self.name, *words]

    def run(self, command, *words, check=True, **options):
        """Runs a command and returns what it printed."""
        argv = self.argv(command, *words)
        try:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, **options)
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode(errors="replace")
            raise AssertionError(f"{' '.join(map(str, argv))}: not within {late.timeout} s\n{said}") from late
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, argv))}: exit status {done.returncode}\n{done.stdout}")
        return done.stdout

    def status(self):
        return json.loads(self.run("status", "--json", check=False))

    def pid(self, component):
        return self.status()["components"][component]["pid"]

    def kubectl(self, *words, **options):
        return self.run("exec", "--", "kubectl", *words, **options)

    def apply(self, manifest):
        self.kubectl("apply", "--filename", "-", input=textwrap.dedent(manifest))

    def wait(self, condition, thing, namespace="default"):
        self.kubectl("wait", f"--timeout={PATIENCE}s", f"--for={condition}", f"--namespace={namespace}", thing)

    def fetch(self, url, where=("exec",)):
        """Asks a URL from the node's network, or from where else a command says; returns the answer once there is one."""
        program = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode(), end='')"
        command, *words = where

        def answer():
            printed = self.run(command, *words, "--", sys.executable, "-c", program, check=False)
            return None if "Traceback" in printed else printed

        return until(f"{url} answers", PATIENCE, answer, lambda: self.kubectl("get", "all", "--all-namespaces", "--output=wide"))
