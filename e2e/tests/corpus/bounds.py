"""For each bound of a schema, copies of a good object that step over it, and some that just do not."""

import copy
import dataclasses
import re

from . import paths, schema
from .paths import GONE

# What the API server says of each keyword.
SAYS = {
    "additionalProperties": "",
    "anyOf": r"anyOf|Invalid value",
    "enum": "Unsupported value",
    "format": "must be of type|should be|Invalid value",
    "maxItems": "Too many|should have at most",
    "maxLength": "Too long|should be at most",
    "maxProperties": "Too many|should have at most",
    "maximum": "less than or equal",
    "minItems": "should have at least",
    "minLength": "should be at least",
    "minProperties": "should have at least",
    "minimum": "greater than or equal",
    "oneOf": "oneOf",
    "pattern": "should match",
    "required": "Required value",
    "type": "must be of type|Invalid value",
    "x-kubernetes-list-type": "Duplicate value",
}
LARGEST = 2**31
TYPES = {"string": [7, True], "integer": ["x", 1.5, True], "number": ["x"], "boolean": ["x", 0], "object": ["x", []], "array": ["x", {}]}
# Tried as every text that has a pattern, and in the place of a good one's parts.
ODD = ("", "*", "a", "0", "a_b", "ä", "a/b", "a.b/c", "*.a.b", "a..b", "10.0.0.1", "1m1s", "1.5h", "a\n")


def odd(text):
    """A text, wrong in many ways."""
    return dict.fromkeys((*ODD, text.upper(), f"{text}-", f"-{text}", f"{text}.", f".{text}", f"{text}/", f"/{text}", f"{text}%", f" {text}"))


@dataclasses.dataclass
class Case:
    """One object, and what the API server is to say of it; `bound` is None where the two verdicts only have to be the same."""

    bound: object
    path: tuple
    item: dict
    why: str

    def is_said_by(self, cause):
        """Whether this is the reason for which it is to be refused."""
        return cause.field == paths.show(self.path) and re.search(SAYS[self.bound.keyword], cause.message)


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

    def __init__(self, top, bases, grown):
        self.bases, self.grown, self.count = bases, grown, 0
        self.schemas = dict(schema.fields(top))

    def cases(self):
        """Each bound is stepped over wherever a good object first has its field."""
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
        for name in inner.get("required", []):
            if place or name in value:  # what an object is, others ask for
                yield self._case(base, (*place, name), GONE, (*place, name), schema.Bound((*path, name), "required"))

    def _case(self, base, place, value, at, bound):
        shown = "nothing" if value is GONE else repr(value)
        why = f"{base['metadata']['name']}: {paths.show(place)} = {shown if len(shown) < 60 else shown[:60] + '…'}"
        self.count += 1
        item = paths.changed(base, {place: value, ("metadata", "name"): f"{base['metadata']['name']}-{self.count}"})
        return Case(bound, at, item, why)

    def _grow(self, path, inner):
        """What makes a value of this place longer."""
        own = self.grown.get(schema.wild(path))
        items = self.schemas.get((*path, "*"), {})
        key = inner.get("x-kubernetes-list-map-keys", [None])[0]
        return lambda value, size: own(value, size) if own else grow(value, size, items, key)


def grow(value, size, items, key):
    """A text, list or map of so many characters or elements; the new ones differ where they must."""
    if isinstance(value, str):
        return value[:size] if len(value) >= size else value + "a" * (size - len(value))
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
        elif keyword in ("maxLength", "maxItems", "maxProperties"):
            yield from ((keyword, (), grow(value, limit + 1)), (keyword, None, grow(value, limit)))
        elif keyword in ("minLength", "minItems", "minProperties") and limit:
            yield from ((keyword, (), grow(value, limit - 1)), (keyword, None, grow(value, limit)))
        elif keyword == "x-kubernetes-list-type" and limit in ("map", "set"):
            yield keyword, (len(value),), [*value, copy.deepcopy(value[0])]
        elif keyword == "format" and limit == "int32":
            yield from ((keyword, None, wrong) for wrong in (LARGEST, -LARGEST - 1, LARGEST * LARGEST * 4))
