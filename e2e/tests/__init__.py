"""Tests of the cluster itself; they need root. From this directory's parent: python3 -m unittest"""
