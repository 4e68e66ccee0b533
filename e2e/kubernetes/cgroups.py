"""The cgroups of a cluster's pods: one directory in each hierarchy, of version 1 as of version 2."""

import contextlib
import pathlib

from .common import until


class Cgroups:
    def __init__(self, name):
        self.path = f"/{name}"  # as the kubelet names it

    def _directories(self):
        for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            _, point, kind, *_ = line.split()
            if kind in ("cgroup", "cgroup2"):
                yield pathlib.Path(point + self.path)

    def create(self):
        for directory in self._directories():
            directory.mkdir(exist_ok=True)

    def remove(self):
        """Removes them, once their processes have ended."""
        left = lambda: [directory for directory in self._directories() if not _removed(directory)]
        until("the cluster's cgroups are empty", 30, lambda: not left(), lambda: f"not empty: {left()}")


def _removed(directory):
    with contextlib.suppress(OSError):
        for child in directory.glob("*/"):
            _removed(child)
        directory.rmdir()
    return not directory.exists()
