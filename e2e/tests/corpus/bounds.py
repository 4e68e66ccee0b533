"""For each bound of a schema, copies of a good object that step over it, and some that only just do not."""

import copy
import dataclasses
import re

from . import paths, schema
from .cases import Case
from .paths import GONE

WRONG = {"string": [7, True], "integer": ["x", 1.5, True], "boolean": ["x", 0], "object": ["x", []], "array": ["x", {}]}  # by type
EMPTY = {"string": [""], "object": [{}], "array": [[]]}
INT32 = 2**31
# Tried in the place of every text that has a pattern.
ODD = ("", "*", "a", "0", "a_b", "ä", "a/b", "a.b/c", "*.a.b", "a..b", "10.0.0.1", "1m1s", "1.5h", "a\n", "a" * 64)


def cases(top, bases):
    """Each bound is stepped over where one of the good objects first has its field."""
    schemas = dict(schema.fields(top))
    yield from _without(bases[0], (), (), top)
    for path, inner in schemas.items():
        found = ((base, place) for base in bases for place in places(base, path) if path)
        base, place = next(found, (None, None))
        if base:
            field = Field(inner, schemas.get((*path, "*"), {}), paths.get(base, place))
            for step in field.steps():
                bound = schema.Bound(path, step.keyword) if step.keyword else None
                yield Case(base, {place: step.value}, bound, (*place, *step.below))
            yield from _without(base, path, place, inner)


def _without(base, path, place, inner):
    """What is required, taken away."""
    for name in inner.get("required", []):
        if paths.get(base, (*place, name)) is not GONE:
            yield Case(base, {(*place, name): GONE}, schema.Bound((*path, name), "required"), (*place, name))


def places(item, path, here=()):
    """The places in an object that are of a place in a schema."""
    value = paths.get(item, here)
    if value is GONE or not path:
        return [] if value is GONE else [here]
    first, *rest = path
    every = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
    return [found for key in (every if first == "*" else [first]) for found in places(item, rest, (*here, key))]


@dataclasses.dataclass
class Step:
    """A value to be tried: beyond a keyword's bound, which is told of what is `below` the field; or within all, without a keyword."""

    value: object
    keyword: str | None = None
    below: tuple = ()


@dataclasses.dataclass
class Field:
    """A field's schema, that of its elements, and a good value."""

    inner: dict
    items: dict
    good: object

    def steps(self):
        """What to try in the place of the good value."""
        for keyword, limit in self.inner.items():
            if of_keyword := OF_KEYWORDS.get(keyword):
                yield from of_keyword(self, keyword, limit)

    def of_type(self, keyword, limit):
        yield from (Step(wrong, keyword) for wrong in WRONG[limit])
        yield from (Step(empty) for empty in (None, *EMPTY.get(limit, ())))
        if "properties" in self.inner:
            yield Step({**self.good, "other": "a"})

    def of_any_type(self, keyword, _):
        yield from (Step(wrong, keyword) for wrong in (True, {}))

    def of_words(self, keyword, limit):
        wrong = ("Other", "") if isinstance(limit[0], str) else (0,)
        yield from (Step(word, keyword) for word in wrong if word not in limit)
        yield from (Step(word) for word in limit)

    def of_pattern(self, keyword, limit):
        good = self.good
        near = (f"{good}-", f"-{good}", f"{good}.", f".{good}", f"{good}/", f"/{good}", f"{good}%", f" {good}", good.upper())
        for text in dict.fromkeys((*ODD, *near)):
            # What is shorter than allowed may not be looked at any further.
            beyond = text and not re.search(limit, text)
            yield Step(text, keyword if beyond else None)

    def of_most(self, keyword, limit):
        yield from (Step(limit + 1, keyword), Step(limit))

    def of_least(self, keyword, limit):
        yield from (Step(limit - 1, keyword), Step(limit))

    def of_most_of_them(self, keyword, limit):
        if "properties" not in self.inner:  # whose values are not known here
            yield from (Step(self.sized(limit + 1), keyword), Step(self.sized(limit)))

    def of_least_of_them(self, keyword, limit):
        if limit:
            yield Step(self.sized(limit - 1), keyword)
            yield Step(self.sized(limit))

    def of_list(self, keyword, limit):
        if limit != "atomic":
            yield Step([*self.good, copy.deepcopy(self.good[0])], keyword, (len(self.good),))

    def of_format(self, _, limit):
        if limit == "int32":
            yield from (Step(number) for number in (INT32, -INT32 - 1, INT32 * 2, INT32 * INT32 * 4))

    def sized(self, size):
        """A text, list or map of so many characters or elements, which differ where they must."""
        if isinstance(self.good, str):
            more = f".{'a' * 50}" if "." in self.good else "a"  # a label of a domain's name can only be so long
            return self.good[:size] if size <= len(self.good) else (self.good + more * size)[: size - 1] + "a"
        if isinstance(self.good, dict):
            some = next(iter(self.good.values()))
            new = {f"k{number}": some for number in range(size - len(self.good))}
            return {**self.good, **new} if size >= len(self.good) else {}
        if "enum" in self.items:
            return (self.items["enum"] * 2)[:size]
        key = self.inner.get("x-kubernetes-list-map-keys", [None])[0]
        return (self.good + [_other(self.good[-1], number, key) for number in range(size)])[:size]


OF_KEYWORDS = {
    "anyOf": Field.of_any_type,
    "enum": Field.of_words,
    "format": Field.of_format,
    "maxItems": Field.of_most_of_them,
    "maxLength": Field.of_most_of_them,
    "maxProperties": Field.of_most_of_them,
    "maximum": Field.of_most,
    "minItems": Field.of_least_of_them,
    "minLength": Field.of_least_of_them,
    "minProperties": Field.of_least_of_them,
    "minimum": Field.of_least,
    "pattern": Field.of_pattern,
    "type": Field.of_type,
    "x-kubernetes-list-type": Field.of_list,
}


def _other(value, number, key):
    """A value that differs from others of its list, in one of its fields if it has any that must."""
    if isinstance(value, dict):
        return {**value, key: _other(value[key], number, None)} if key else value
    return value + number + 1 if isinstance(value, int) else f"{value}{number}"
