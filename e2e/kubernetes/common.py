"""Where things are, and how this package fails, runs programs and waits."""

import contextlib
import fcntl
import os
import pathlib
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache").absolute() / "tombolo"

# Daemons' programs are in sbin, which is not in every user's PATH.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Broken(Exception):
    """Something did not work; the message says what, and what to do where that is known."""


def say(text):
    print(text, flush=True)


def output(*command, **options):
    """What a program printed; where it fails, what it said is the error."""
    environment = {**os.environ, **options.pop("env", {})}
    try:
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, **options)
    except FileNotFoundError as error:
        raise Broken(f"{command[0]}: {error.strerror}") from error
    if run.returncode:
        raise Broken(f"{' '.join(map(str, command))}\n{(run.stderr or run.stdout).strip()}")
    return run.stdout


def until(what, seconds, condition, details=lambda: ""):
    """Waits for a condition and returns what it gave; after so many seconds it fails with the details."""
    deadline = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        if time.monotonic() > deadline:
            raise Broken("\n".join(filter(None, [f"not within {seconds} s: {what}", details()])))
        time.sleep(0.05)


def tail(path, lines=15):
    """The last lines of a log."""
    try:
        text = pathlib.Path(path).read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


@contextlib.contextmanager
def locked(directory):
    """Holds a directory's lock; the directory is made where it is missing, and may be removed under the lock."""
    while (descriptor := _lock(directory)) is None:
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(directory):
    """The descriptor that holds the lock; None where whoever held it before removed the directory: that lock is one on nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = None
    try:
        descriptor = os.open(directory, os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_ino == os.stat(directory).st_ino:
            held, descriptor = descriptor, None
            return held
    except FileNotFoundError:
        pass
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return None
