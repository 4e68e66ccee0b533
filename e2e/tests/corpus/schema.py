"""What a definition's schema asks for: its bounds and its rules, each at its place.

A place in a schema is written as one in an object, with `*` for any index or key: `("spec", "rules", "*", "name")`.
"""

import dataclasses
import re

from . import paths

# What says nothing of what is valid, or is looked at beside something else.
SILENT = {"description", "default", "properties", "items", "additionalProperties", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"}
SILENT |= {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"}
SILENT |= {"format"}  # the API server looks at no number's

# What the API server says of each keyword.
SAYS = {
    "anyOf": "must be of type|anyOf",
    "enum": "Unsupported value",
    "maxItems": "Too many",
    "maxLength": "Too long",
    "maxProperties": "Too many",
    "maximum": "should be less than or equal",
    "minItems": "should have at least",
    "minLength": "should be at least",
    "minProperties": "should have at least",
    "minimum": "should be greater than or equal",
    "oneOf": "oneOf",
    "pattern": "should match",
    "required": "Required value",
    "type": "must be of type",
    "x-kubernetes-list-type": "Duplicate value",
}


@dataclasses.dataclass(frozen=True)
class Bound:
    """A keyword at a place."""

    path: tuple
    keyword: str

    def __str__(self):
        return f"{wild(self.path)}: {self.keyword}"

    def is_said_by(self, cause, place):
        """Whether that is what the API server tells of the place in an object."""
        # What fields say together is told of no field, but names it.
        here = cause.field == paths.show(place) or (cause.field == "<nil>" and f'"{paths.show(place)}"' in cause.message)
        return here and re.search(SAYS[self.keyword], cause.message)


@dataclasses.dataclass(frozen=True)
class Rule:
    """A CEL rule at a place."""

    path: tuple
    message: str

    def __str__(self):
        return f"{wild(self.path)}: {self.message!r}"

    def is_said_by(self, cause, _):
        """Whether that is what the API server tells, wherever in an object."""
        here = pattern(self.path).fullmatch(cause.field.removeprefix("<nil>"))
        return here and self.message in cause.message


def wild(path):
    """A place in a schema, for people."""
    return "".join("[*]" if part == "*" else f".{part}" for part in path).removeprefix(".")


def fields(schema, path=()):
    """Every schema within a schema, with its place."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from fields(inner, (*path, name))
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from fields(inner, (*path, "*"))


def bounds(schema):
    """Every bound of a schema, except those that nothing can break."""
    for path, inner in fields(schema):
        for keyword, value in inner.items():
            if not path and keyword == "type":
                continue  # what is no object has no kind either
            if keyword in SILENT or keyword == "x-kubernetes-validations" or (keyword, value) == ("minLength", 0):
                continue
            if keyword == "x-kubernetes-list-type" and value == "atomic":
                continue
            if keyword == "required":
                yield from (Bound((*path, name), "required") for name in value)
            else:
                yield Bound(path, keyword)


def rules(schema):
    """Every CEL rule of a schema."""
    for path, inner in fields(schema):
        yield from (Rule(path, rule.get("message", rule["rule"])) for rule in inner.get("x-kubernetes-validations", []))


def versions(definition):
    """By version, what a definition says of what people write. A status is not: it is dropped from what is written."""
    schemas = {version["name"]: version["schema"]["openAPIV3Schema"] for version in definition["spec"]["versions"]}
    return {name: {**schema, "properties": {"spec": schema["properties"]["spec"]}} for name, schema in schemas.items()}


def without(top, places):
    """A schema that asks for nothing at these places, which are left out where it has none."""
    def of(inner, path):
        if path in places:
            return {}
        copied = dict(inner)
        if "properties" in inner:
            copied["properties"] = {name: of(field, (*path, name)) for name, field in inner["properties"].items()}
        for key in ("items", "additionalProperties"):
            if isinstance(inner.get(key), dict):
                copied[key] = of(inner[key], (*path, "*"))
        return copied

    return of(top, ())


def resolve(top, path, text):
    """The bound or the rule of a place that goes by a keyword or a part of its message."""
    of = [bound for bound in bounds(top) if (bound.path, bound.keyword) == (path, text)]
    here = [rule for rule in rules(top) if rule.path == path]
    of = of or [rule for rule in here if rule.message.startswith(text)] or [rule for rule in here if text in rule.message]
    if len(of) != 1:
        raise ValueError(f"{wild(path)}: {text!r} names {len(of)} rules, not one")
    return of[0]


def pattern(path):
    """What matches a place in an object, as the API server names it, that this place of a schema is of."""
    return re.compile("".join(r"(\[[^\]]*\]|\.[^.\[]+)" if part == "*" else rf"\.{re.escape(part)}" for part in path).removeprefix(r"\."))


def without_words(value):
    """A schema without what it says to people."""
    if isinstance(value, dict):
        return {key: without_words(inner) for key, inner in value.items() if key != "description" or not isinstance(inner, str)}
    return [without_words(inner) for inner in value] if isinstance(value, list) else value
