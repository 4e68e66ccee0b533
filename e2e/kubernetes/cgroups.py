"""The cgroups of a cluster's pods: one directory in each hierarchy, of version 1 as of version 2."""

import contextlib
import pathlib

from .common import until

CONTROLLERS = {"cpu", "cpuset", "memory", "hugetlb", "pids"}


class Cgroups:
    def __init__(self, name):
        self.name = name
        self.path = f"/{name}"  # as the kubelet names it

    def _directories(self):
        """Its directory in every hierarchy that is mounted."""
        mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
        points = [pathlib.Path(point) for _, point, kind, *_ in mounts if kind in ("cgroup", "cgroup2")]
        return [point / self.name for point in points]

    def create(self):
        for directory in self._directories():
            _delegate(directory.parent)
            directory.mkdir(exist_ok=True)

    def remove(self):
        """Removes them, once their processes have ended."""
        until("the cluster's cgroups are empty", 30, lambda: not self._left(), lambda: f"not empty: {self._left()}")

    def _left(self):
        return [directory for directory in self._directories() if not _removed(directory)]


def _delegate(hierarchy):
    """In version 2, children get the controllers that their parent names; the kubelet wants these."""
    with contextlib.suppress(FileNotFoundError):  # version 1
        for controller in set((hierarchy / "cgroup.controllers").read_text().split()) & CONTROLLERS:
            (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")


def _removed(directory):
    with contextlib.suppress(OSError):
        for child in directory.glob("*/"):
            _removed(child)
        directory.rmdir()
    return not directory.exists()
