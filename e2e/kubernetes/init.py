"""The first process of a machine: lays out its files, says so, and waits. Started in the machine's own namespaces.

usage: init.py READY (proc | SOURCE:TARGET)...     READY is a file that is made once all is laid out.
"""

import pathlib
import signal
import subprocess
import sys


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def main():
    ready, *layout = sys.argv[1:]
    mount("--make-rslave", "/")  # what is mounted here stays here
    for entry in layout:
        if entry == "proc":
            mount("-t", "proc", "proc", "/proc")
        else:
            source, target = entry.split(":")
            mount("--bind", source, target)
    mount("--make-rshared", "/")  # pods may share what they mount with the machine
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so the kernel itself reaps those whose parents have gone
    pathlib.Path(ready).touch()
    while True:
        signal.pause()


main()
