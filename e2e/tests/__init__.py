"""Tests of the cluster itself; they need root. They are run by e2e/test."""
