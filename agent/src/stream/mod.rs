//! The config stream: Envoy on one side, the control plane on the other, and on disk what Envoy last accepted.
