//! What the agent is told: by flags, by the environment, and by a file, with Istio's names.
