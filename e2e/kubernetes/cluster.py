"""A cluster: what is started in which order, how it is looked at, and how nothing of it is left."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess

from . import components, namespaces, network, programs
from .api import Api
from .cgroups import Cgroups
from .common import CACHE, HERE, ROOT, Broken, locked, tail, until
from .machine import PRIVATE, Machine
from .pki import Pki
from .process import Process
from .virtual_machine import all_of

CLUSTERS = CACHE / "clusters"
CHANNELS = ("standard", "experimental", "none")
PATIENCE = 120  # seconds for anything to come to pass; only failures take that long
DNS = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
CAPTURED = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}


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
        self.api = Api(self.node, self.pki)
        self.cgroups = Cgroups(f"tombolo-{name}")
        self.cgroup = self.cgroups.path
        self.started = []  # the components that are to run by now
        self.laid_out = self.directory / "laid-out"
        self.audit_log = self.directory / "audit" / "audit.log"
        self.kubeconfig = self.pki.path("admin.kubeconfig")

    # === Up ===

    def up(self, channel=None):
        """Brings it up, or what of it does not run; then waits until it is usable. `channel`: which CRDs of the Gateway API."""
        programs.build(everything=False)
        with locked(self.directory):
            if not (self.node.pid and self.laid_out.exists()):
                self._clear()
                self._lay_out(channel or CHANNELS[0])
            channel = self._channel(channel)
            for name in components.AT_ONCE:
                self.start(name)
            imports = self._import_images()
            self._until("the API server is ready", lambda: self.api.get("/readyz"))
            for name in components.WITH_API_SERVER:
                self.start(name)
            applied = self._apply(channel)
            finish(imports)
            self._until("the node is Ready", lambda: self.api.holds("Ready", "/api/v1/nodes/node0"))
            finish(applied)
            self._until("cluster DNS answers", lambda: self.api.holds("Available", DNS))

    def _channel(self, wanted):
        """The channel that it has. CRDs of one are not put over those of another: whatever is stored would be cut to what both know."""
        has = self.laid_out.read_text()
        if wanted not in (None, has):
            raise Broken(f"cluster {self.name} has CRDs of channel {has}: take another --name, or run e2e/cluster down --name {self.name} first")
        return has

    def _lay_out(self, channel):
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
        self.laid_out.write_text(channel)

    def start(self, name):
        """Starts a component, unless it runs."""
        if name not in components.NAMES:
            raise Broken(f"there is no component {name!r}, but {', '.join(components.NAMES)}")
        self._pid()
        self.started.append(name)
        if not self.process(name).pid:
            self.node.spawn(name, components.command(self, name), components.environment(self))

    def stop(self, name):
        self._pid()
        self.process(name).stop()

    def process(self, name):
        return Process(self.directory / "pids" / name)

    def log(self, name):
        return self.directory / "logs" / f"{name}.log"

    def _import_images(self):
        """Begins to import the images that every cluster needs."""
        self._until("containerd listens", lambda: listens(self.containerd))
        return self.load(*programs.images())

    @property
    def containerd(self):
        """The path of containerd's socket; the node's own files are below /proc."""
        return pathlib.Path("/proc", str(self._pid()), "root", "run", "containerd", "containerd.sock")

    def load(self, *archives):
        """Begins to import images."""
        for archive in archives:
            if not pathlib.Path(archive).is_file():
                raise Broken(f"{archive}: no such file")
        importing = ["ctr", "--address", self.containerd, "--namespace", "k8s.io", "images", "import"]
        return [self.node.popen(*importing, archive, **CAPTURED) for archive in archives]

    def _apply(self, channel):
        """Begins to apply what a cluster has from the start."""
        files = [HERE / "manifests" / "cluster.yaml"] + ([programs.gateway_api(channel)] if channel != "none" else [])
        words = ["apply", "--server-side", "--force-conflicts", "--filename"]
        kubectl = self.directory / "bin" / "kubectl"
        return [self.node.popen(kubectl, *words, file, env=self.environment(), **CAPTURED) for file in files]

    def _until(self, what, condition):
        """Waits for a condition; it fails at once where a component has ended."""

        def met():
            if ended := [name for name in self.started if not self.process(name).pid]:
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
            "components": {
                name: {"pid": process.pid, "memoryMB": process.memory(), "log": str(self.log(name))}
                for name, process in running.items()
            },
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


def finish(processes):
    """Waits for programs that were begun; the first that failed is the error."""
    printed = [process.communicate()[0] for process in processes]
    for process, text in zip(processes, printed):
        if process.returncode:
            raise Broken(f"{' '.join(map(str, process.args))}\n{text.strip()}")


def listens(path):
    """Whether there is an end to a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def tail_of(text, lines):
    return "\n".join(text.splitlines()[-lines:])
