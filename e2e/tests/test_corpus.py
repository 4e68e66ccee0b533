"""The API server and `tombolo validate` say the same of every object, however it is wrong."""

import os
import pathlib
import re
import unittest

from kubernetes import programs
from kubernetes.common import ROOT

from .corpus import bounds, cases, paths, program, rules, schema, server
from .mesh import PROGRAMS, PROGRAMS_NEEDED

BASES = pathlib.Path(__file__).resolve().parent / "corpus" / "bases"
# Definitions of the Gateway API that are read. Of our own, `tombolo validate` passes over those that only the operator writes.
GATEWAY_API = ("gatewayclasses", "gateways", "httproutes", "referencegrants")
WRITTEN_BY_THE_OPERATOR = ("meshrevisions", "meshrevisiontags")

# Rules that no object can break, and why.
UNBROKEN = {
    ("GatewayClass", "spec.controllerName", "Value is immutable"): "one object does not say what it was before; see the test of changes",
    ("HTTPRoute", "spec.rules[*].matches[*].path", "type must be one of"): "the enum of the type is looked at first",
}

# What is not read, whatever it holds: a warning names the field.
NOT_READ = {
    "Gateway": ("spec.defaultScope",),
    "HTTPRoute": (
        "spec.useDefaultGateways",
        "spec.rules[*].sessionPersistence",
        "spec.rules[*].filters[*].externalAuth",
        "spec.rules[*].backendRefs[*].filters[*].externalAuth",
    ),
}

# Errors that are about other objects, or that say what is understood and not served: conditions of the object's status.
CONDITIONS = {
    "HostConflict": "another ServiceEntry says otherwise of its host",
    "InvalidCertificateRef": "there is no such Secret",
    "InvalidParameters": "there is no such ConfigMap",
    "InvalidRouteKinds": "not served",
    "RefNotPermitted": "there is no ReferenceGrant",
    "UnsupportedAddress": "not served",
    "UnsupportedProtocol": "not served",
    "UnsupportedSigner": "not served",
}

# What `tombolo validate` refuses though the API server stores it: kinds, a part of what is told, and why.
NOTHING = "the selector would select nothing"
ISTIO = "Istio's own validation refuses it, and is no schema's"
STRICTER = [
    (("Gateway",), "In and NotIn compare with values", NOTHING),
    (("Gateway",), "key: not a valid label's key", NOTHING),
    (("Gateway",), "is not one of In, NotIn, Exists, DoesNotExist", NOTHING),
    (("HTTPRoute",), "remove[0]: not a valid header's name", "no request has a header without a name"),
    (("ServiceEntry",), "is neither an IP address nor a CIDR", ISTIO),
    (("ServiceEntry",), "is not an IP address; use an IP address, or resolution DNS", ISTIO),
    (("ServiceEntry",), "the service has no port named", ISTIO),
    (("ServiceEntry",), "is not a protocol known here", ISTIO),
    (("ServiceEntry",), "resolution DYNAMIC_DNS is for wildcards", ISTIO),
    (("ServiceEntry",), "DNS allows at most 253", "no host can have this name"),
    (("ServiceEntry", "WorkloadEntry"), "is neither an IP address nor a domain name", ISTIO),
    (("ServiceEntry",), "with several hosts, connections to this port cannot be told apart", ISTIO),
    (("ServiceEntry",), "neither address nor network is set", ISTIO),
]


def gateway_api(channel):
    """The manifests of the Gateway API's definitions that are read here."""
    manifests = programs.gateway_api(channel).read_text().split("\n---\n")
    return [text for text in manifests if re.search(rf"^  name: ({'|'.join(GATEWAY_API)})\.gateway", text, re.MULTILINE)]


def ours():
    """The manifests of our own definitions of kinds that are read here."""
    files = sorted((ROOT / "crds").glob("*.yaml"))
    return [file.read_text() for file in files if not file.name.startswith(tuple(f"{name}." for name in WRITTEN_BY_THE_OPERATOR))]


def asked(kind, definition):
    """What a definition says of what is read."""
    top = next(iter(schema.versions(definition).values()))
    return schema.without(top, {paths.parse(place) for place in NOT_READ.get(kind, ())})


def stricter(kind, problem):
    """The first of STRICTER that a problem is of."""
    said = program.told(problem)
    return next((entry for entry in STRICTER if kind in entry[0] and entry[1] in said), None)


def related(problem, place):
    """Whether a problem is told at a place, within it or around it."""
    field = paths.parse(problem["field"])
    return all(a == b for a, b in zip(field, place))


class Corpus:
    """The kinds of some definitions."""

    maxDiff = None
    more = {}  # rules besides those that all have, by kind

    @staticmethod
    def definitions():
        """Their manifests."""
        raise NotImplementedError

    @classmethod
    def read(cls):
        """The good objects, by kind."""
        return {bases[0]["kind"]: bases for bases in cls.server.read(BASES).values()}

    @classmethod
    def setUpClass(cls):
        programs.install_packages()
        programs.KUBE.build()
        cls.server = cls.enterClassContext(server.Server())
        for manifest in cls.definitions():
            cls.server.define(manifest)
        cls.schemas = {kind: asked(kind, definition) for kind, definition in cls.server.definitions.items()}
        cls.bases = cls.read()
        cls.program = os.path.abspath(f"{PROGRAMS}/tombolo")
        made = [case for kind, top in cls.schemas.items() for case in cls.made(kind, top)]
        cls.cases = cases.number([*made, *cases.mixed(made)])
        items = [case.item for case in cls.cases]
        cls.theirs = cls.server.judge_all(items)
        said = program.judge(cls.program, items)
        cls.conditions = {problem["reason"] for errors in said for problem in errors} & CONDITIONS.keys()
        cls.ours = [[problem for problem in errors if problem["reason"] not in CONDITIONS] for errors in said]

    @classmethod
    def made(cls, kind, top):
        """The cases of a kind."""
        yield from (cases.Case(base, {}) for base in cls.bases[kind])
        yield from bounds.cases(top, cls.bases[kind])
        yield from cases.by_hand(kind, top, cls.bases[kind], cls.more)

    def judged(self):
        return zip(self.cases, self.theirs, self.ours)

    def test_good_objects_are_good(self):
        names = {str(case): (theirs, ours) for case, theirs, ours in self.judged() if not case.changes}
        self.assertEqual({why: said for why, said in names.items() if any(said)}, {})
        self.assertEqual(len(names), sum(map(len, self.bases.values())))

    def test_every_version_has_one_schema(self):
        for kind, definition in self.server.definitions.items():
            for version, top in schema.versions(definition).items():
                with self.subTest(kind=kind, version=version):
                    first = next(iter(schema.versions(definition).values()))
                    self.assertEqual(schema.without_words(top), schema.without_words(first))

    def test_every_bound_and_rule_is_broken_by_an_object(self):
        for kind, top in self.schemas.items():
            of_kind = list(schema.rules(top))
            wanted = {*schema.bounds(top), *of_kind}
            told = {case.claim for case, theirs, _ in self.judged() if case.kind == kind and case.claim and case.is_told(theirs)}
            unbroken = {schema.resolve(top, paths.parse(path), message) for of, path, message in UNBROKEN if of == kind}
            with self.subTest(kind):
                self.assertEqual(len(of_kind), len(set(of_kind)), "rules of one place say the same, so that nobody can tell them apart")
                self.assertEqual(sorted(map(str, wanted - told)), sorted(map(str, unbroken)))

    def test_the_api_server_refuses_for_the_reason_that_is_meant(self):
        wrong = [f"{case}: not {case.claim}, but {theirs}" for case, theirs, _ in self.judged() if case.claim and not case.is_told(theirs)]
        self.assertEqual(wrong, [])

    def test_verdicts_are_the_same(self):
        differ, needed = [], []
        for case, theirs, ours in self.judged():
            excuses = [] if theirs else [stricter(case.kind, problem) for problem in ours]
            if theirs and not ours:
                differ.append(f"only the API server refuses {case}: {str(theirs)[:400]}")
            elif ours and not theirs and not all(excuses):
                differ.append(f"only validate refuses {case}: {str([program.told(problem) for problem in ours])[:400]}")
            needed += excuses
        self.assertEqual(differ, [])
        of_kinds = [entry for entry in STRICTER if self.schemas.keys() & set(entry[0])]
        self.assertEqual([entry for entry in of_kinds if entry not in needed], [], "is no longer stricter")

    def test_both_tell_of_the_same_place(self):
        elsewhere = [
            f"{case}: {[program.told(problem) for problem in ours]}"
            for case, theirs, ours in self.judged()
            if case.claim and theirs and ours and not any(related(problem, case.place) for problem in ours)
        ]
        self.assertEqual(elsewhere, [])

    def test_a_change_that_is_not_allowed(self):
        """Of a change the API server knows more: `tombolo validate` sees one state."""
        stored = self.server.store(paths.changed(self.bases["GatewayClass"][0], {"metadata.name": "changed"}))
        after = paths.changed(stored, {"spec.controllerName": "example.com/other"})
        self.assertIn("Value is immutable", str(self.server.judge(after, "PUT")))
        self.assertEqual(program.judge(self.program, [after]), [[]])


@PROGRAMS_NEEDED
class CorpusTest(Corpus, unittest.TestCase):
    """All kinds that are read, the Gateway API's as most clusters have them."""

    @staticmethod
    def definitions():
        return [*gateway_api("standard"), *ours()]

    def test_conditions_are_told(self):
        self.assertEqual(self.conditions, CONDITIONS.keys(), "is no longer told")


@PROGRAMS_NEEDED
class ExperimentalTest(Corpus, unittest.TestCase):
    """The Gateway API's kinds with what is experimental."""

    more = rules.EXPERIMENTAL

    @staticmethod
    def definitions():
        return gateway_api("experimental")

    @classmethod
    def read(cls):
        bases = super().read()
        for more in cls.server.read(BASES / "experimental").values():
            bases[more[0]["kind"]] += more
        return bases
