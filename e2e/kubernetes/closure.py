"""What a program of this machine needs to run elsewhere: its shared libraries, and itself without symbols."""

import pathlib
import re
import subprocess
import tempfile

from .common import Broken, output

# Every program gets all of glibc, so that this layer is the same in every image and is imported once.
GLIBC = ["libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1"]

USERS = {"root": 0, "nonroot": 65532, "proxy": 1337}


def libraries(program):
    """The shared libraries of a program, by the path that it asks the loader for; none for a static one."""
    run = subprocess.run(["ldd", program], capture_output=True, text=True)
    if run.returncode:
        if "not a dynamic executable" in run.stdout + run.stderr:
            return {}
        raise Broken(f"ldd {program}: {run.stderr.strip()}")
    if missing := re.findall(r"(\S+) => not found", run.stdout):
        raise Broken(f"{program}: no {', '.join(missing)} on this machine")
    found = re.findall(r"(/\S+) \(0x", run.stdout)
    return {path: pathlib.Path(path).resolve() for path in found}


def base(program):
    """The files that all images share, for programs that were linked like this one."""
    loaded = libraries(program)
    directories = {pathlib.Path(path).parent for path in loaded}
    return {
        **{path: file for path, file in loaded.items() if pathlib.Path(path).name.startswith("ld-")},
        **{str(file): file.resolve() for directory in directories for name in GLIBC if (file := directory / name).exists()},
        "/etc/passwd": "".join(f"{name}:x:{user}:{user}::/:/sbin/nologin\n" for name, user in USERS.items()).encode(),
        "/etc/group": "".join(f"{name}:x:{user}:\n" for name, user in USERS.items()).encode(),
        "/etc/nsswitch.conf": b"hosts: files dns\n",
        "/run": None,
        "/tmp": None,
    }


def stripped(program):
    """A program's bytes, without symbols."""
    with tempfile.NamedTemporaryFile() as copy:
        output("strip", "--strip-all", "-o", copy.name, program)
        return pathlib.Path(copy.name).read_bytes()
