//! What Envoy says of the secrets that it was sent: for readiness, and to be counted.

use super::secrets::NAMES;
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use std::collections::BTreeMap;
use tokio::sync::watch;
use tombolo_proto::bootstrap::ROOTS;

/// Envoy's last word on each secret. Clones share it.
#[derive(Clone, Debug)]
pub struct Verdicts {
    /// Why the newest version of a secret was rejected, by its name. What was accepted is not among them.
    rejected: watch::Sender<BTreeMap<&'static str, String>>,
    rejections: Counter,
}

impl Verdicts {
    pub(super) fn new() -> Self {
        Self { rejected: watch::Sender::new(BTreeMap::new()), rejections: Counter::default() }
    }

    /// Waits until the reasons are others than when this was last called on this receiver.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<&'static str, String>> {
        self.rejected.subscribe()
    }

    /// Why the proxy goes on with a certificate, or with roots, that are not the newest: a line for each.
    pub fn reasons(&self) -> Vec<String> {
        let rejected = self.rejected.borrow();
        let line = |(name, detail): (&&str, &String)| {
            let what = if *name == ROOTS { "the mesh's newest roots" } else { "the newest certificate" };
            format!("Envoy rejects {what}, and goes on with what it had: {detail}")
        };
        rejected.iter().map(line).collect()
    }

    /// How often Envoy has rejected what it was sent.
    pub fn rejections(&self) -> u64 {
        self.rejections.get()
    }

    /// Registers the counter.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tombolo_agent_certificate");
        let help = "Responses with certificates or roots that Envoy has rejected";
        registry.register("rejections", help, self.rejections.clone());
    }

    pub(super) fn accepted(&self, names: &[&'static str]) {
        self.rejected.send_if_modified(|rejected| {
            let before = rejected.len();
            rejected.retain(|name, _| !names.contains(name));
            rejected.len() != before
        });
    }

    pub(super) fn rejected(&self, names: &[&'static str], detail: &str) {
        debug_assert!(names.iter().all(|name| NAMES.contains(name)), "so that this does not grow");
        self.rejections.inc();
        self.rejected.send_modify(|rejected| {
            rejected.extend(names.iter().map(|name| (*name, detail.to_owned())));
        });
    }
}
