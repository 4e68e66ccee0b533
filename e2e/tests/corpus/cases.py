"""One object, and what is to be said of it."""

import dataclasses

from . import paths, rules, schema


@dataclasses.dataclass
class Case:
    """`claim` is the bound or the rule that the object breaks, at `place`. Without one, the verdicts only have to be the same."""

    item: dict
    why: str
    claim: object = None
    place: tuple = ()
    good: bool = False

    @classmethod
    def of(cls, base, changes, claim=None, place=(), good=False):
        """A copy of a good object with changes."""
        return cls(paths.changed(base, changes), f"{base['kind']} {base['metadata']['name']} with {shown(changes)}", claim, place, good)

    def is_told(self, causes):
        """Whether the API server refuses the object for the reason that is claimed."""
        return any(self.claim.is_said_by(cause, self.place) for cause in causes)


def shown(changes):
    """Changes, for people."""
    places = {path if isinstance(path, str) else paths.show(path): value for path, value in changes.items()}
    texts = {place: "nothing" if value is paths.GONE else repr(value) for place, value in places.items()}
    return ", ".join(f"{place} = {text if len(text) < 60 else text[:60] + '…'}" for place, text in texts.items())


def by_hand(kind, top, bases):
    """The cases of `rules`."""
    named = {base["metadata"]["name"]: base for base in bases}
    for place, text, base, changes in rules.CASES.get(kind, []):
        claim = schema.resolve(top, paths.parse(place), text)
        where = next((paths.parse(path) for path in changes), ())
        yield Case.of(named[base], changes, claim, where[: len(claim.path)])


def number(cases):
    """Gives each object a name of its own, so that they can stand side by side."""
    for index, case in enumerate(cases):
        name = case.item["metadata"]["name"]
        if len(name) < 32:
            case.item["metadata"]["name"] = f"{name}-{index}"
    return cases
