//! The page for operators and probes: readiness, metrics, what is inside, and the way to drain.
//!
//! | page | what |
//! |-|-|
//! | `/healthz/ready` | 200, or 503 with a line for each reason |
//! | `/healthz/live` | 200 |
//! | `/metrics` | the agent's own and Envoy's, in Prometheus' text format; `?usedonly` and `?filter=REGEX` are Envoy's |
//! | `/debug` | config, and how each part is, as JSON; from this machine only |
//! | `POST /drain` | drains Envoy, and answers once that is done; from this machine only |
//! | `POST /quitquitquit` | drains and ends Envoy and agent; from this machine only |

mod metrics;
mod server;

pub use server::{Admin, Debug, serve};
