"""What is read out of an audit log."""

import unittest

from .audit import granted, unused, used


def request(verb, name="", code=200, kind="secrets"):
    about = {"resource": kind, "name": name}
    return {"verb": verb, "objectRef": about, "requestURI": "/", "responseStatus": {"code": code}}


class AuditTest(unittest.TestCase):
    RULES = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["root"], "verbs": ["get", "patch"]},
    ]

    def unused(self, *requests):
        return {(verb, name) for _, _, verb, name in unused(granted(self.RULES), used(requests))}

    def test_what_nobody_asked_for_is_unused(self):
        self.assertEqual(self.unused(), {("get", ""), ("create", ""), ("get", "root"), ("patch", "root")})

    def test_a_use_of_a_name_that_is_granted_needs_that_one_alone(self):
        self.assertEqual(self.unused(request("get", "root"), request("create")), {("get", ""), ("patch", "root")})
        self.assertEqual(self.unused(request("get", "other"), request("create")), {("get", "root"), ("patch", "root")})

    def test_a_patch_that_makes_an_object_is_a_creation_too(self):
        self.assertNotIn(("create", ""), self.unused(request("patch", "root", 201)))
        self.assertIn(("create", ""), self.unused(request("patch", "root")))
        named = granted([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["root"], "verbs": ["create"]}])
        self.assertEqual(unused(named, used([request("patch", "root", 201)])), [])
