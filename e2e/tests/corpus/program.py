"""What `tombolo validate` says of objects."""

import json
import subprocess

from kubernetes.common import Broken

AT_ONCE = 200  # objects


def judge(program, items):
    """The errors of each object; one that has none can be served as it is written."""
    parts = [items[begin : begin + AT_ONCE] for begin in range(0, len(items), AT_ONCE)]
    return [errors for part in parts for errors in _judge(program, part)]


def _judge(program, items):
    # Each stands in a line of its own, by which problems are told apart: one object may not be read so far that it has a name.
    text = "\n---\n".join(json.dumps(item) for item in items)
    done = subprocess.run([program, "validate", "--file=-", "--output=json"], input=text, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise Broken(f"tombolo validate: exit status {done.returncode}\n{done.stderr}")
    found = [[] for _ in items]
    for problem in json.loads(done.stdout)["problems"]:
        if problem["severity"] == "error":
            found[(problem["origin"]["line"] - 1) // 2].append(problem)
    return found


def told(problem):
    """A problem in one line."""
    fix = f"; {problem['fix']}" if problem.get("fix") else ""
    return f"{problem['field']}: {problem['message']}{fix} [{problem['reason']}]"
