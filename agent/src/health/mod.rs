//! Whether the workload answers: probes with the semantics of Kubernetes.
