"""Virtual machines beside a cluster: a network of their own, joined to the node by a veth pair, and an /etc of their own."""

import os
import re
import shutil

from . import namespaces, network
from .common import Broken, locked
from .machine import Machine


class VirtualMachine(Machine):
    """One machine. The file `index` says which addresses it has."""

    def __init__(self, cluster, name):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name):
            raise Broken(f"machine name {name!r}: use at most 32 lower case letters, digits and inner hyphens")
        super().__init__(cluster.directory / "machines" / name)
        self.cluster = cluster
        self.name = name
        self.joined = self.directory / "joined"

    @property
    def index(self):
        return int((self.directory / "index").read_text())

    @property
    def address(self):
        return network.virtual_machine(self.index)[1]

    def add(self):
        """Starts it, unless it runs."""
        if not self.cluster.node.pid:
            raise Broken(f"cluster {self.cluster.name} is not up")
        with locked(self.directory.parent):
            if self.pid and self.joined.exists():
                return
            taken = {machine.index for machine in all_of(self.cluster) if machine.name != self.name}
            index = min(set(range(256)) - taken)
            self._clear()
            (self.directory / "index").write_text(f"{index}\n")
            etc = self.directory / "etc"
            shutil.copytree("/etc", etc, symlinks=True)
            (etc / "resolv.conf").unlink(missing_ok=True)
            (etc / "resolv.conf").write_text(f"nameserver {network.DNS_SERVICE}\n")
            (etc / "hostname").write_text(f"{self.name}\n")
            (etc / "hosts").write_text(f"127.0.0.1 localhost {self.name}\n")
            self.start(namespaces.MOUNT | namespaces.NETWORK, [f"{etc}:/etc"])
            network.join_virtual_machine(self.cluster.node, self, index)
            self.joined.touch()

    def remove(self):
        if not self.directory.exists():
            raise Broken(f"cluster {self.cluster.name} has no machine {self.name}")
        super().remove()

    def _clear(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)

    def execute(self, command):
        """Becomes a command on the machine."""
        if not self.pid:
            raise Broken(f"machine {self.name} is not up: e2e/cluster vm add {self.name}")
        self.replace(command, dict(os.environ), namespaces.NETWORK, namespaces.MOUNT)


def all_of(cluster):
    """The machines that a cluster has."""
    indices = sorted((cluster.directory / "machines").glob("*/index"))
    return [VirtualMachine(cluster, index.parent.name) for index in indices]
