"""A machine that is none: namespaces with a process that holds them. A cluster's node is one, a virtual machine another.

Its mounts are its own, and its /run, /var/lib and /var/log are directories of its state. So daemons run in it with the paths
that they expect, see nothing of the host's, leave nothing there, and all mounts end with the last process.
"""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys

from . import namespaces
from .common import HERE, PATH, Broken, tail, until
from .process import Process, detach

PRIVATE = {"run": "/run", "lib": "/var/lib", "log": "/var/log"}


class Machine:
    def __init__(self, directory):
        self.directory = directory
        self.init = Process(directory / "init")
        self.network = namespaces.Pin(directory / "network")

    @property
    def pid(self):
        """The process that holds its namespaces, or None."""
        return self.init.pid

    def start(self, kinds, layout):
        """Starts it with new namespaces of these kinds; `layout` is what init.py is to mount, after the private directories."""
        for name in PRIVATE:
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        ready, log = self.directory / "ready", self.directory / "init.log"
        ready.unlink(missing_ok=True)
        binds = [f"{self.directory / name}:{target}" for name, target in PRIVATE.items()]
        argv = [sys.executable, "-S", "-E", HERE / "init.py", ready, *layout, *binds]
        detach(argv, self.init.file, log, {"PATH": PATH}, lambda: namespaces.unshare(kinds))
        until("the machine is laid out", 10, lambda: ready.exists() or not self.pid, lambda: tail(log))
        if not self.pid:
            raise Broken(f"the machine did not start:\n{tail(log)}")
        self.network.set(self.pid)

    def run(self, *command, **options):
        """Runs a program of the host's in this machine's network, and returns what it printed."""
        run = self.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        printed, _ = run.communicate()
        if run.returncode:
            raise Broken(f"{' '.join(map(str, command))}\n{printed.strip()}")
        return printed

    def popen(self, *command, env=None, **options):
        """Starts a program of the host's in this machine's network."""
        pid = self.pid
        environment = {**os.environ, **(env or {})}
        options["preexec_fn"] = functools.partial(namespaces.enter, pid, namespaces.NETWORK)
        return subprocess.Popen([str(word) for word in command], env=environment, **options)

    def replace(self, command, environment, *kinds):
        """Becomes a program in this machine's namespaces; does not return."""
        directory = os.getcwd()
        namespaces.enter(self.pid, *kinds)
        try:
            os.chdir(directory)  # entering a mount namespace goes to its root
            os.execvpe(command[0], command, environment)
        except OSError as error:
            raise Broken(f"{command[0]}: {error.strerror}") from error

    def spawn(self, name, argv, environment):
        """Starts a daemon in all namespaces of this machine."""
        pid = self.pid
        kinds = (namespaces.PROCESS, namespaces.NETWORK, namespaces.MOUNT)
        log = self.directory / "logs" / f"{name}.log"
        return detach(argv, self.directory / "pids" / name, log, environment, lambda: namespaces.enter(pid, *kinds))

    def kill(self):
        """Ends whatever runs in it, also what was started in its network from outside. Nothing of it need be alive."""
        self.init.stop(patience=0)  # with it, the kernel ends every process of its process namespace
        for pid in self._guests():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until("the machine's network is empty", 30, lambda: not self._guests(), lambda: f"in it: {self._guests()}")
        self.network.remove()

    def _guests(self):
        """The processes in its network that are left when its own are gone."""
        return list(namespaces.inhabitants(namespaces.NETWORK, self.network.name)) if self.network.name else []

    def remove(self):
        self.kill()
        shutil.rmtree(self.directory)
