"""What `tombolo validate` says of objects."""

import json
import subprocess

from kubernetes.common import Broken

AT_ONCE = 200  # objects


def judge(program, items):
    """The errors of each object, by its number; one that has none can be served as it is written."""
    found = {}
    for begin in range(0, len(items), AT_ONCE):
        found |= _judge(program, dict(list(enumerate(items))[begin : begin + AT_ONCE]))
    return found


def _judge(program, items):
    # Each stands in a line of its own, by which problems are told apart: objects may have one name, or none.
    lines = [json.dumps(item) for item in items.values()]
    text = "\n---\n".join(lines)
    done = subprocess.run([program, "validate", "--file=-", "--output=json"], input=text, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise Broken(f"tombolo validate: exit status {done.returncode}\n{done.stderr}")
    found = {number: [] for number in items}
    for problem in json.loads(done.stdout)["problems"]:
        if problem["severity"] == "error":
            found[list(items)[(problem["origin"]["line"] - 1) // 2]].append(problem)
    return found


def told(problem):
    """A problem in one line."""
    fix = f"; {problem['fix']}" if problem.get("fix") else ""
    return f"{problem['field']}: {problem['message']}{fix} [{problem['reason']}]"
