"""The API server and `tombolo validate` say the same of every object, however it is wrong."""

import collections
import os
import pathlib
import re
import unittest

from kubernetes import programs
from kubernetes.common import ROOT

from .corpus import bounds, program, schema, server
from .mesh import PROGRAMS, PROGRAMS_NEEDED

BASES = pathlib.Path(__file__).resolve().parent / "corpus" / "bases"
GROWN = {}


@PROGRAMS_NEEDED
class CorpusTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(server.Server())
        for manifest in definitions():
            cls.server.define(manifest)
        cls.bases = cls.server.read(BASES)
        cls.program = os.path.abspath(f"{PROGRAMS}/tombolo")

    def test_measure(self):
        cases = []
        for plural, bases in self.bases.items():
            definition = self.server.definitions[bases[0]["kind"]]
            top = schema.spec_of(definition, bases[0]["apiVersion"].split("/")[1])
            cases += bounds.Steps(top, bases, GROWN).cases()
        import time
        t = time.monotonic()
        api = [self.server.judge(case.item) for case in cases]
        print("api", len(cases), time.monotonic() - t)
        t = time.monotonic()
        ours = program.judge(self.program, [case.item for case in cases])
        print("ours", time.monotonic() - t)
        for plural, bases in self.bases.items():
            for base in bases:
                print(base["metadata"]["name"], self.server.judge(base), program.judge(self.program, [base]))
        for number, case in enumerate(cases):
            if case.bound and not any(case.is_said_by(c) for c in api[number]):
                print("NOTSAID", case.bound, case.why, api[number])
            if bool(api[number]) != bool(ours[number]):
                print("DIFFER", "api refuses" if api[number] else "ours refuses", case.bound, case.why, api[number] or [program.told(p) for p in ours[number]])


def definitions():
    """The manifests of all definitions that are read here."""
    gateway = programs.gateway_api("standard").read_text().split("\n---\n")
    read = ("gatewayclasses", "gateways", "httproutes", "referencegrants")
    yield from (text for text in gateway if re.search(rf"^  name: ({'|'.join(read)})\.gateway", text, re.MULTILINE))
    yield from (file.read_text() for file in sorted((ROOT / "crds").glob("*.yaml")))
