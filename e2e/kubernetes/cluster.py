"""A cluster: what is started in which order, how it is looked at, and how nothing of it is left."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess

from . import components, namespaces, network, programs
from .cgroups import Cgroups
from .common import CACHE, HERE, ROOT, Broken, locked, output, say, tail, until
from .machine import PRIVATE, Machine
from .pki import Pki
from .process import Process
from .virtual_machine import all_of

CLUSTERS = CACHE / "clusters"
PATIENCE = 120  # seconds for anything to come to pass; only failures take that long


class Cluster:
    def __init__(self, name="default"):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name):
            raise Broken(f"cluster name {name!r}: use at most 32 lower case letters, digits and inner hyphens")
        if os.geteuid() != 0:
            raise Broken("a cluster needs root: it makes namespaces, mounts and cgroups of its own")
        self.name = name
        self.directory = CLUSTERS / name
        self.node = Machine(self.directory)
        self.pki = Pki(self.directory / "pki")
        self.cgroups = Cgroups(f"tombolo-{name}")
        self.cgroup = self.cgroups.path
        self.audit_log = self.directory / "audit" / "audit.log"
        self.kubeconfig = self.pki.path("admin.kubeconfig")

    # === Up ===

    def up(self, channel):
        """Brings it up, or what of it does not run; then waits until it is usable."""
        programs.build(everything=False)
        with locked(self.directory):
            if not self.node.pid:
                self._clear()
                self._lay_out()
            for name in components.AT_ONCE:
                self.start(name)
            self._wait_for_api_server(self._import_images())
            for name in components.WITH_API_SERVER:
                self.start(name)
            self._apply(channel)
            self._wait_for_node()

    def _lay_out(self):
        for path in (ROOT, CACHE):
            if any(path.is_relative_to(private) for private in PRIVATE.values()):
                raise Broken(f"{path}: the node could not see it there; use another checkout, or set XDG_CACHE_HOME")
        for name in ("tmp", "logs", "bin", "audit"):
            (self.directory / name).mkdir(exist_ok=True)
        for command, program in programs.COMMANDS.items():
            (self.directory / "bin" / command).symlink_to(program.path)
        self.pki.create()
        components.write_configuration(self)
        self.cgroups.create()
        kinds = namespaces.MOUNT | namespaces.PROCESS | namespaces.NETWORK
        self.node.start(kinds, ["proc", *components.kernel_layout(self.directory)])
        network.lay_node(self.node)

    def start(self, name):
        """Starts a component, unless it runs."""
        if name not in components.NAMES:
            raise Broken(f"there is no component {name!r}, but {', '.join(components.NAMES)}")
        self._pid()
        if not self.process(name).pid:
            self.node.spawn(name, components.command(self, name), components.environment(self))

    def stop(self, name):
        self.process(name).stop()

    def process(self, name):
        return Process(self.directory / "pids" / name)

    def log(self, name):
        return self.directory / "logs" / f"{name}.log"

    def _import_images(self):
        """Begins to import the images that every cluster needs; returns what waits for the end of it."""
        socket = self.directory / "run" / "containerd" / "containerd.sock"
        self._until("containerd listens", socket.exists)
        return self.load(*programs.images())

    def load(self, *archives):
        """Imports images. The program that does it runs outside and finds containerd through the node's own files."""
        for archive in archives:
            if not pathlib.Path(archive).is_file():
                raise Broken(f"{archive}: no such file")
        address = f"/proc/{self._pid()}/root/run/containerd/containerd.sock"
        return [
            subprocess.Popen(["ctr", "--address", address, "--namespace", "k8s.io", "images", "import", archive], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for archive in archives
        ]

    def _wait_for_api_server(self, imports):
        self._until("the API server is ready", lambda: self._answers("get", "--raw", "/readyz"))
        wait_for_imports(imports)

    def _apply(self, channel):
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename", HERE / "manifests" / "cluster.yaml")
        if channel != "none":
            self.kubectl("apply", "--server-side", "--force-conflicts", "--filename", programs.gateway_api(channel))

    def _wait_for_node(self):
        ready = lambda *what: self._answers("wait", "--timeout=1s", *what)
        self._until("the node is Ready", lambda: ready("--for=condition=Ready", "node/node0"))
        self._until("cluster DNS answers", lambda: ready("--for=condition=Available", "--namespace=kube-system", "deployment/coredns"))

    def _until(self, what, condition):
        """Waits for a condition; it fails at once where a component has ended."""

        def met():
            started = [name for name in components.NAMES if self.process(name).file.exists()]
            if ended := [name for name in started if not self.process(name).pid]:
                raise Broken("\n".join(f"{name} ended:\n{tail(self.log(name))}" for name in ended))
            return condition()

        until(what, PATIENCE, met, self.describe_failure)

    def describe_failure(self):
        """What helps to see why something did not come to pass: the objects, and the ends of the logs."""
        parts = [f"--- {name}\n{tail(self.log(name), 8)}" for name in components.NAMES]
        with contextlib.suppress(Broken):
            parts.append("--- pods\n" + self.kubectl("get", "pods,nodes", "--all-namespaces", "--output=wide"))
            parts.append("--- events\n" + tail_of(self.kubectl("get", "events", "--all-namespaces"), 20))
        return "\n".join(parts)

    # === In it ===

    def _pid(self):
        if pid := self.node.pid:
            return pid
        raise Broken(f"cluster {self.name} is not up: e2e/cluster up --name {self.name}")

    def environment(self):
        """What commands in the cluster get: its kubeconfig, and its kubectl and helm before any other."""
        path = f"{self.directory / 'bin'}:{os.environ.get('PATH', '')}"
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def execute(self, command):
        """Becomes a command in the cluster's network."""
        self._pid()
        self.node.replace(command, self.environment(), namespaces.NETWORK)

    def kubectl(self, *words):
        """Runs kubectl and returns what it printed."""
        self._pid()
        return self.node.run(self.directory / "bin" / "kubectl", *words, env=self.environment())

    def _answers(self, *words):
        with contextlib.suppress(Broken):
            self.kubectl(*words)
            return True
        return False

    def status(self):
        """What there is, as data."""
        running = {name: self.process(name) for name in components.NAMES}
        return {
            "name": self.name,
            "up": self.node.pid is not None and all(process.pid for process in running.values()),
            "directory": str(self.directory),
            "kubeconfig": str(self.kubeconfig),
            "auditLog": str(self.audit_log),
            "pid": self.node.pid,
            "components": {name: {"pid": process.pid, "memoryMB": process.memory(), "log": str(self.log(name))} for name, process in running.items()},
            "machines": {machine.name: {"pid": machine.pid, "address": machine.address} for machine in all_of(self)},
        }

    # === Down ===

    def down(self):
        """Ends all that belongs to it and removes all files. It does not matter what of it is still alive."""
        if not self.directory.exists():
            return
        with locked(self.directory):
            self._clear()
            self.directory.rmdir()
        with contextlib.suppress(OSError):
            CLUSTERS.rmdir()  # if this was the last one

    def _clear(self):
        for machine in all_of(self):
            machine.kill()
        self.node.kill()
        self.cgroups.remove()
        for entry in self.directory.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def wait_for_imports(imports):
    for process in imports:
        printed, _ = process.communicate()
        if process.returncode:
            raise Broken(f"{' '.join(map(str, process.args))}\n{printed.strip()}")


def tail_of(text, lines):
    return "\n".join(text.splitlines()[-lines:])
