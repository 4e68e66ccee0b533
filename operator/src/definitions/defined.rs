//! Which kinds are defined, as the watch of definitions tells: what is not defined cannot be watched.

use crate::kinds::Kind;
use kube::{ResourceExt, api::DynamicObject, runtime::watcher::Event};
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::sync::watch;

/// Which kinds are defined. A handle: clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Defined(watch::Sender<BTreeSet<String>>);

impl Defined {
    /// Waits until a kind is defined, or until it is not. Kubernetes' own always are.
    pub(crate) async fn until(&self, kind: Kind, defined: bool) {
        let Some(name) = kind.definition() else {
            if defined {
                return;
            }
            return std::future::pending().await;
        };
        // There is a sender for as long as this is asked.
        _ = self.0.subscribe().wait_for(|names| names.contains(&name) == defined).await;
    }

    fn tell(&self, names: &BTreeSet<String>) {
        self.0.send_if_modified(|known| {
            let new = known != names;
            known.clone_from(names);
            new
        });
    }
}

/// What is known of definitions while they are listed and watched.
#[derive(Default)]
pub(super) struct Names {
    known: BTreeSet<String>,
    listed: BTreeSet<String>,
}

impl Names {
    /// Takes in what the watch tells, and tells on what is defined.
    pub(super) fn take(&mut self, event: &Event<DynamicObject>, defined: &Defined) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(definition) if is_served(definition) => _ = self.listed.insert(definition.name_any()),
            Event::InitApply(_) => {}
            Event::InitDone => self.known = std::mem::take(&mut self.listed),
            Event::Apply(definition) if is_served(definition) => _ = self.known.insert(definition.name_any()),
            Event::Apply(definition) | Event::Delete(definition) => _ = self.known.remove(&definition.name_any()),
        }
        defined.tell(&self.known);
    }
}

/// The API server serves a kind a moment after it is defined, and says so.
pub(super) fn is_served(definition: &DynamicObject) -> bool {
    let conditions = definition.data.pointer("/status/conditions").and_then(Value::as_array);
    let established = |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
    conditions.is_some_and(|conditions| conditions.iter().any(established))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use futures::FutureExt as _;
    use serde_json::json;

    fn definition(established: &str) -> DynamicObject {
        let name = "gatewayclasses.gateway.networking.k8s.io";
        let conditions = json!([{"type": "Established", "status": established}]);
        serde_json::from_value(json!({"metadata": {"name": name}, "status": {"conditions": conditions}})).unwrap()
    }

    #[test]
    fn a_kind_is_defined_while_its_definition_is_served() {
        let (mut names, defined) = (Names::default(), Defined::default());
        let is = |defined: &Defined| defined.until(kinds::GATEWAY_CLASS, true).now_or_never().is_some();
        let mut after = |event| {
            names.take(&event, &defined);
            assert_ne!(is(&defined), defined.until(kinds::GATEWAY_CLASS, false).now_or_never().is_some());
            is(&defined)
        };
        assert!(!after(Event::Init) && !after(Event::InitApply(definition("True"))), "the list is not whole");
        assert!(after(Event::InitDone));
        assert!(after(Event::Init), "it is listed again");
        assert!(!after(Event::InitDone), "and it is gone");
        assert!(!after(Event::Apply(definition("False"))));
        assert!(after(Event::Apply(definition("True"))));
        assert!(!after(Event::Delete(definition("True"))));
    }

    #[test]
    fn what_kubernetes_has_is_always_there() {
        let defined = Defined::default();
        assert!(defined.until(kinds::DEPLOYMENT, true).now_or_never().is_some());
        assert!(defined.until(kinds::DEPLOYMENT, false).now_or_never().is_none());
    }
}
