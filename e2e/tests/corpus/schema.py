"""What a definition's schema asks for: its bounds and its rules, each at its place.

A place in a schema is written as one in an object, with `*` for any index or key: `("spec", "rules", "*", "name")`.
"""

import dataclasses
import re

# What says nothing of what is valid, or is looked at beside something else.
SILENT = {"description", "default", "properties", "items", "additionalProperties", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"}
SILENT |= {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"}


@dataclasses.dataclass(frozen=True)
class Bound:
    """A keyword at a place."""

    path: tuple
    keyword: str

    def __str__(self):
        return f"{wild(self.path)}: {self.keyword}"


@dataclasses.dataclass(frozen=True)
class Rule:
    """A CEL rule at a place."""

    path: tuple
    message: str

    def __str__(self):
        return f"{wild(self.path)}: {self.message!r}"


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


def spec_of(definition, version):
    """What a definition says of an object that people write: all but its status."""
    versions = {entry["name"]: entry["schema"]["openAPIV3Schema"] for entry in definition["spec"]["versions"]}
    schema = versions[version]
    properties = {name: inner for name, inner in schema.get("properties", {}).items() if name == "spec"}
    return {**{key: value for key, value in schema.items() if key != "type"}, "properties": properties}


def pattern(path):
    """What matches a place in an object, as the API server names it, that this place of a schema is of."""
    return re.compile("".join(r"(\[[^\]]*\]|\.[^.\[]+)" if part == "*" else rf"\.{re.escape(part)}" for part in path).removeprefix(r"\."))
