//! What every program with a Kubernetes client needs of it.
