"""What a cluster could leave on a machine, taken down before and after."""

import contextlib
import os
import pathlib
import subprocess
import time

from kubernetes import components
from kubernetes.cluster import CLUSTERS
from kubernetes.process import started

DAEMONS = ("/run", "/var/lib", "/var/log", "/etc", "/opt")  # where they would write, if they were the host's
KERNEL = (*components.KERNEL, "net/ipv4/ip_forward")
NAMESPACES = ("net", "mnt", "pid", "ipc", "uts", "cgroup")


def traces(cluster):
    """All traces of a cluster by kind; others may come and go meanwhile."""
    hierarchies = pathlib.Path("/sys/fs/cgroup")
    return {
        "mounts": {line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if not _in_another(line, cluster)},
        "devices": _printed("ip", "-oneline", "link"),
        "addresses": _printed("ip", "-oneline", "address"),
        "routes": _printed("ip", "route", "show", "table", "all"),
        "rules": _printed("nft", "list", "ruleset"),
        "cgroups": {
            str(path) for pattern in ("*/", "*/*/") for path in hierarchies.glob(pattern) if not _of_another(path, cluster)
        },
        "kernel": {f"{name}={pathlib.Path('/proc/sys', name).read_text().strip()}" for name in KERNEL},
        "files": {str(path) for directory in DAEMONS for path in pathlib.Path(directory).glob("*")},
        "state": {str(path) for path in CLUSTERS.glob(f"{cluster}/*")},
    }


def _in_another(mount, cluster):
    return f"{CLUSTERS}/" in mount and f"{CLUSTERS}/{cluster}/" not in mount


def _of_another(cgroup, cluster):
    return cgroup.name.startswith("tombolo-") and cgroup.name != f"tombolo-{cluster}"


def difference(before, after):
    """What there is more, or less, by kind."""
    return {kind: sorted(before[kind] ^ after[kind]) for kind in before if before[kind] != after[kind]}


def namespaces(init):
    """All namespaces that are a cluster's own: those of its first process and of every one below it."""
    host = {_namespace("self", kind) for kind in NAMESPACES}
    inside = {init}
    while more := {pid for pid in _processes() if _parent(pid) in inside} - inside:
        inside |= more
    return {_namespace(pid, kind) for pid in inside for kind in NAMESPACES} - host - {None}


def now():
    """The time as processes' start times tell it: in ticks since boot."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def inhabitants(spaces, before=None):
    """The processes in any of these namespaces, with their command lines; only those that were started before a time.

    The kernel gives a namespace's name to another once it is gone, so who came later may be in that one. A process that ended
    and is yet to be reaped is in none.
    """
    found = {}
    for pid in _processes():
        begun = started(pid)
        if begun and int(begun) < (before or now()) and any(_namespace(pid, kind) in spaces for kind in NAMESPACES):
            with contextlib.suppress(OSError):  # it ended just now
                found[pid] = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    return found


def _parent(pid):
    with contextlib.suppress(OSError):
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def _printed(*command):
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


def _processes():
    return [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]


def _namespace(pid, kind):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    return None
