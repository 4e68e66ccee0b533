"""For each bound of a schema, copies of a good object that step over it, and some that just do not."""

import copy
import re

from . import paths, schema
from .cases import Case
from .paths import GONE

LARGEST = 2**31
TYPES = {"string": [7, True], "integer": ["x", 1.5, True], "number": ["x"], "boolean": ["x", 0], "object": ["x", []], "array": ["x", {}]}
# Tried as every text that has a pattern, and in the place of a good one's parts.
ODD = ("", "*", "a", "0", "a_b", "ä", "a/b", "a.b/c", "*.a.b", "a..b", "10.0.0.1", "1m1s", "1.5h", "a\n", "a" * 64)


def odd(text):
    """A text, wrong in many ways."""
    return dict.fromkeys((*ODD, text.upper(), f"{text}-", f"-{text}", f"{text}.", f".{text}", f"{text}/", f"/{text}", f"{text}%", f" {text}"))


def concrete(item, path, here=()):
    """The places in an object that are of a place in a schema."""
    if not path:
        return [here]
    first, *rest = path
    value = paths.get(item, here)
    if first != "*":
        return concrete(item, rest, (*here, first)) if not rest or paths.get(item, (*here, first)) is not GONE else []
    keys = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
    return [found for key in keys for found in concrete(item, rest, (*here, key))]


class Steps:
    """The cases of one schema."""

    def __init__(self, top, bases):
        self.bases = bases
        self.schemas = dict(schema.fields(top))

    def cases(self):
        """Each bound is stepped over wherever a good object first has its field."""
        yield from self._required(self.bases[0], (), (), self.schemas[()])
        for path, inner in self.schemas.items():
            found = [(base, place) for base in self.bases for place in concrete(base, path) if path]
            found = [(base, place) for base, place in found if paths.get(base, place) is not GONE]
            for base, place in found[:1]:
                yield from self._at(base, path, place, inner)

    def _at(self, base, path, place, inner):
        value = paths.get(base, place)
        for keyword, told, new in steps(inner, value, self._grow(path, inner)):
            at = (*place, *told) if keyword == "x-kubernetes-list-type" else place
            yield self._case(base, place, new, at, schema.Bound(path, keyword) if told is not None else None)
        yield from self._required(base, path, place, inner)

    def _required(self, base, path, place, inner):
        for name in inner.get("required", []):
            if paths.get(base, (*place, name)) is not GONE:
                yield self._case(base, (*place, name), GONE, (*place, name), schema.Bound((*path, name), "required"))

    def _case(self, base, place, value, at, bound):
        return Case.of(base, {place: value}, bound, at)

    def _grow(self, path, inner):
        """What makes a value of this place longer."""
        items = self.schemas.get((*path, "*"), {})
        key = inner.get("x-kubernetes-list-map-keys", [None])[0]
        return lambda value, size: grow(value, size, items, key)


def grow(value, size, items, key):
    """A text, list or map of so many characters or elements; the new ones differ where they must."""
    if isinstance(value, str):
        more = f".{'a' * 50}" if "." in value else "a"  # a label of a domain's name can only be so long
        return (value + more * size)[: size - 1] + "a" if size > len(value) else value[:size]
    if isinstance(value, dict):
        some = next(iter(value.values()), "a")
        return {**value, **{f"k{number}": some for number in range(size - len(value))}} if size >= len(value) else {}
    if "enum" in items:
        return (items["enum"] * 2)[:size]
    return (value + [_other(value[-1], number, key) for number in range(size)])[:size]


def _other(value, number, key):
    """A value that differs from others of its list."""
    if isinstance(value, dict):
        value = copy.deepcopy(value)
        for name in [key] if key else []:
            value[name] = _other(value[name], number, None)
        return value
    return value + number + 1 if isinstance(value, int) else f"{value}{number}"


def steps(inner, value, grow):
    """What to try in the place of a value: the keyword, where below it that is told (None: nowhere), and the new value."""
    for keyword, limit in inner.items():
        if keyword == "type":
            yield from ((keyword, (), wrong) for wrong in TYPES[limit])
            yield "null", None, None
        elif keyword == "enum":
            yield from ((keyword, (), wrong) for wrong in (["Other", ""] if isinstance(limit[0], str) else [0]) if wrong not in limit)
            yield from ((keyword, None, right) for right in limit)
        elif keyword == "pattern":
            # What is shorter than allowed may not be looked at any further.
            yield from ((keyword, () if text and not re.search(limit, text) else None, text) for text in odd(value))
        elif keyword in ("maximum", "minimum"):
            step = 1 if keyword == "maximum" else -1
            yield from ((keyword, (), limit + step), (keyword, None, limit))
        elif keyword in ("maxLength", "maxItems", "maxProperties") and "properties" not in inner:
            yield from ((keyword, (), grow(value, limit + 1)), (keyword, None, grow(value, limit)))
        elif keyword in ("minLength", "minItems", "minProperties") and limit:
            yield keyword, (), grow(value, limit - 1)
            if limit > 1 or "properties" not in inner:
                yield keyword, None, grow(value, limit)
        elif keyword == "x-kubernetes-list-type" and limit in ("map", "set"):
            yield keyword, (len(value),), [*value, copy.deepcopy(value[0])]
        elif keyword == "anyOf":
            yield from ((keyword, (), wrong) for wrong in (True, {}))
        elif keyword == "format" and limit == "int32":
            yield from ((keyword, None, wrong) for wrong in (LARGEST, -LARGEST - 1, LARGEST * 4, LARGEST * LARGEST * 4))
