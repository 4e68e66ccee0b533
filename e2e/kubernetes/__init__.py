"""A real Kubernetes of one node, in namespaces of its own, for tests and for play. `e2e/cluster` is its command."""
