"""Processes that outlive the command that started them, known by a file with their id and start time."""

import contextlib
import os
import pathlib
import signal

from .common import Broken, tail, until


class Process:
    """What a file says about a process. An id alone may have been given to another process since."""

    def __init__(self, file):
        self.file = pathlib.Path(file)

    def record(self, pid):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(f"{pid} {started(pid)}\n")

    @property
    def pid(self):
        """The process's id while it runs, otherwise None."""
        try:
            pid, start = self.file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if started(pid) == start else None

    def kill(self, number=signal.SIGKILL):
        if pid := self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self, patience=10):
        """Ends it: politely first, if there is patience."""
        if patience:
            self.kill(signal.SIGTERM)
            with contextlib.suppress(Broken):
                until("", patience, lambda: not self.pid)
        self.kill()
        until(f"process {self.pid} ends after SIGKILL", 30, lambda: not self.pid)

    def memory(self):
        """Resident memory in MB; 0 where it does not run."""
        with contextlib.suppress(OSError, TypeError):
            for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) // 1024
        return 0


def started(pid):
    """When a process started, in ticks since boot; None for one that is gone or only waits to be reaped."""
    try:
        # The second field is the name in parentheses, and may hold anything.
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def detach(argv, pid_file, log, environment, prepare=lambda: None):
    """Starts a program that outlives this one. `prepare` runs in its parent-to-be, so it may enter namespaces.

    It is started twice removed, so that the init of the namespace it is in adopts it, and reaps it. It goes on only once its
    file is written: what nobody has noted down, nobody could end.
    """
    answers, gate = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        _launch(argv, log, environment, prepare, answers[1], gate)
    os.close(answers[1])
    os.close(gate[0])
    with os.fdopen(answers[0]) as answer, os.fdopen(gate[1], "w") as opened:
        pid = answer.read()
        os.waitpid(child, 0)
        if not pid:
            raise Broken(f"{argv[0]} was not started:\n{tail(log)}")
        process = Process(pid_file)
        process.record(int(pid))
        opened.write("go")
    return process


def _launch(argv, log, environment, prepare, answer, gate):
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (out, 2)):
            os.dup2(descriptor, target)
        prepare()
        if pid := os.fork():
            os.write(answer, str(pid).encode())
            os._exit(0)
        os.close(answer)
        os.close(gate[1])
        if os.read(gate[0], 1):
            os.setsid()
            os.chdir("/")
            os.execve(argv[0], [str(word) for word in argv], environment)
    except BaseException as error:  # whatever it is, this copy of the program must not go on
        os.write(2, f"{argv[0]}: {error!r}\n".encode())
    os._exit(1)
