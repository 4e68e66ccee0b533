//! Envoy's life: what it starts from, its start, its end, and an Envoy that outlived the agent before.
