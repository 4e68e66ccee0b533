"""One object, and what is to be said of it."""

import dataclasses
import random

from . import paths, rules, schema

SEED = 1
MIXED = 1000  # objects
OFTEN = 0.3  # the share of them with a change that is claimed to be refused


@dataclasses.dataclass
class Case:
    """A copy of a good object with changes: none makes it a good one.

    `claim` is the bound or the rule that it breaks, at `place`. Without one, the verdicts only have to be the same.
    """

    base: dict
    changes: dict
    claim: object = None
    place: tuple = ()

    def __post_init__(self):
        self.item = paths.changed(self.base, self.changes)
        self.kind = self.item["kind"]

    def __str__(self):
        return f"{self.kind} {self.base['metadata']['name']} with {shown(self.changes)}"

    def is_told(self, causes):
        """Whether the API server refuses the object for the reason that is claimed."""
        return any(self.claim.is_said_by(cause, self.place) for cause in causes)


def shown(changes):
    """Changes, for people."""
    places = {path if isinstance(path, str) else paths.show(path): value for path, value in changes.items()}
    texts = {place: "nothing" if value is paths.GONE else repr(value) for place, value in places.items()}
    return ", ".join(f"{place} = {text if len(text) < 60 else text[:60] + '…'}" for place, text in texts.items())


def by_hand(kind, top, bases, more):
    """The cases of `rules`, and `more` of the kind."""
    named = {base["metadata"]["name"]: base for base in bases}
    for place, text, base, changes in (*rules.CASES.get(kind, []), *more.get(kind, [])):
        path = paths.parse(place)
        claim = schema.resolve(top, path, text) if text else None
        where = next(paths.parse(changed) for changed in changes)
        yield Case(named[base], changes, claim, where[: len(path)])


def mixed(cases):
    """Several of the changes to one object at once, always the same ones; mostly of those that may well be good."""
    chance, of_bases = random.Random(SEED), {}
    for case in cases:
        if case.changes:
            of_bases.setdefault(id(case.base), ([], []))[bool(case.claim)].append(case)
    made = 0
    while made < MIXED:
        open_, claimed = chance.choice(list(of_bases.values()))
        chosen = chance.sample(open_, min(len(open_), chance.randint(2, 4)))
        if chance.random() < OFTEN:
            chosen.append(chance.choice(claimed))
        try:
            yield Case(chosen[0].base, {path: value for case in chosen for path, value in case.changes.items()})
            made += 1
        except (IndexError, KeyError, TypeError, AttributeError):
            pass  # one took away what another would change


def number(cases):
    """Gives each object a name of its own, so that they can stand side by side."""
    for index, case in enumerate(cases):
        name = case.item["metadata"]["name"]
        if len(name) < 32:  # that it is long is what is wrong with it
            case.item["metadata"]["name"] = f"{name}-{index}"
    return cases
