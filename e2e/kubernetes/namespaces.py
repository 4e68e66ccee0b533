"""Linux namespaces, as far as a machine needs them: see namespaces(7)."""

import contextlib
import ctypes
import os
import pathlib

from .common import output

MOUNT, PROCESS, NETWORK = 0x00020000, 0x20000000, 0x40000000
FILES = {MOUNT: "mnt", PROCESS: "pid", NETWORK: "net"}

_libc = ctypes.CDLL(None, use_errno=True)


def _call(function, *arguments):
    if function(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function.__name__}: {os.strerror(error)}")


def unshare(kinds):
    """Moves this process to new namespaces of these kinds; for PROCESS, its children."""
    _call(_libc.unshare, kinds)


def enter(pid, *kinds):
    """Moves this process to the namespaces that another one is in; for PROCESS, its children."""
    descriptors = [os.open(f"/proc/{pid}/ns/{FILES[kind]}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]
    for kind, descriptor in zip(kinds, descriptors):
        _call(_libc.setns, descriptor, kind)
        os.close(descriptor)


@contextlib.contextmanager
def visiting(pid, kind):
    """Is in the namespace of another process meanwhile. Sockets that are made there stay there."""
    home = os.open(f"/proc/thread-self/ns/{FILES[kind]}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(pid, kind)
        yield
    finally:
        _call(_libc.setns, home, kind)
        os.close(home)


class Pin:
    """A file on which a network namespace is mounted: it keeps the namespace's name from being given to another one."""

    def __init__(self, file):
        self.file = file

    def set(self, pid):
        self.file.touch()
        output("mount", "--bind", f"/proc/{pid}/ns/net", self.file)

    @property
    def name(self):
        """The namespace's name as `inhabitants` wants it; None where there is no pin."""
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(self.file)
            if found.st_dev == os.stat("/proc/self/ns/net").st_dev:
                return f"net:[{found.st_ino}]"
        return None

    def remove(self):
        if self.name:
            output("umount", self.file)
        self.file.unlink(missing_ok=True)


def inhabitants(kind, name):
    """The ids of all processes in a namespace of this name, this one excepted."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if os.readlink(f"{entry}/ns/{FILES[kind]}") == name:
                    yield int(entry.name)
