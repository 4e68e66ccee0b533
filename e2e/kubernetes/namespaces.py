"""Linux namespaces, as far as a machine needs them: see namespaces(7)."""

import contextlib
import ctypes
import os
import pathlib

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


def identity(pid, kind):
    """Names the namespace that a process is in."""
    return os.readlink(f"/proc/{pid}/ns/{FILES[kind]}")


def inhabitants(kind, name):
    """The ids of all processes in a namespace, this one excepted."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if identity(entry.name, kind) == name:
                    yield int(entry.name)
