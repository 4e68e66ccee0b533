"""What is read out of logs: of the API server's audit, and of containers."""

import unittest

from .audit import granted, unused, used
from .mesh import ERROR


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


class ErrorTest(unittest.TestCase):
    def test_errors_and_panics_are_found_in_a_containers_log(self):
        said = "2026-11-22T06:46:01.743Z stderr F 2026-11-22T06:46:01.742Z "
        self.assertTrue(ERROR.match(f"{said}ERROR tombolo_operator: cannot listen on [::]:8080"))
        self.assertTrue(ERROR.match("2026-11-22T06:46:01.743Z stderr F thread 'main' (1) panicked at operator/src/main.rs:1:1:"))
        for level in ("WARN", "INFO"):
            self.assertFalse(ERROR.match(f"{said} {level} tombolo_operator: reason=\"ERROR\" there is no ERROR here"))
