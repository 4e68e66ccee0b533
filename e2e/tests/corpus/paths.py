"""Places in objects: tuples of keys and indices, or as `spec.rules[0].name`."""

import copy
import re


class GONE:
    """In the place of a value: none."""


def parse(text):
    """`spec.rules[0].name` as a tuple. Keys with dots stand in brackets and quotes: `spec.ports["a.b"]`."""
    parts = re.findall(r"([^.\[\]]+)|\[\"?([^\]]*?)\"?\]", text)
    return tuple(key or (int(inner) if inner.isdigit() else inner) for key, inner in parts)


def show(path):
    """A place as the API server names it."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def get(value, path):
    """What is there; GONE where nothing is."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return GONE
    return value


def put(item, path, value):
    """Puts a value there, or takes what is there away; a list's next index appends."""
    *ways, last = path
    for part in ways:
        item = item.setdefault(part, {}) if isinstance(item, dict) else item[part]
    if value is GONE:
        del item[last]
    elif isinstance(item, list) and last == len(item):
        item.append(value)
    else:
        item[last] = value


def changed(item, changes):
    """A copy of an object with values at some places."""
    item = copy.deepcopy(item)
    for path, value in changes.items():
        put(item, parse(path) if isinstance(path, str) else path, copy.deepcopy(value))
    return item
