//! The page for operators and probes: readiness, metrics, what is inside, and the way to drain.
