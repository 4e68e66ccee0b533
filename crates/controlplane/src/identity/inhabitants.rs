//! Who there is: the workloads and gateways that the objects speak of, and which of their instances are revoked.

use crate::{World, gateway_service_account, graph::Commands};
use tombolo_api::{Kind, ObjectKey};
use tombolo_ca::{Answer, Bound, Caller, Existence, Exists, ExistsError, Proven, stable_uid};

/// Instances that may not renew, and may not connect: ids, separated by commas, on a WorkloadEntry or a WorkloadGroup.
pub const REVOKED: &str = "mesh.tombolo.dev/revoked-instances";

/// Answers from the graph thread's memory.
pub(super) struct Inhabitants(pub(super) Commands);

impl Exists for Inhabitants {
    fn exists<'a>(&'a self, caller: &'a Caller) -> Answer<'a, Result<Existence, ExistsError>> {
        let caller = caller.clone();
        Box::pin(async move {
            self.0.ask(move |world| existence(world, &caller)).await.map_err(|stopped| ExistsError(Box::new(stopped)))
        })
    }
}

/// The UID of an object of a directory, which has none of its own: what tokens of the local issuer are bound to.
pub fn directory_uid(key: &ObjectKey) -> String {
    stable_uid(&format!("{}/{}", key.kind.name(), key.name))
}

fn existence(world: &World, caller: &Caller) -> Existence {
    let held: Vec<_> = holders(world, caller).collect();
    if held.is_empty() {
        let what = format!(
            "a Gateway or WorkloadEntry of ServiceAccount {}/{}",
            caller.id.namespace, caller.id.service_account
        );
        return Existence::Gone(what);
    }
    if let Some(by) = revoked_by(world, caller) {
        return Existence::Revoked(by);
    }
    match &caller.proven {
        Proven::Token(Bound { pod: Some(pod), .. }) if !held.iter().any(|key| directory_uid(key) == pod.uid) => {
            Existence::Gone(format!("what the token is bound to, {}/{},", caller.id.namespace, pod.name))
        }
        _ => Existence::Exists,
    }
}

/// The objects whose proxies hold the caller's identity.
fn holders<'w>(world: &'w World, caller: &'w Caller) -> impl Iterator<Item = ObjectKey> + 'w {
    let account = &*caller.id.service_account;
    let gateways = world.statuses().map(|(key, _)| key);
    let gateways =
        gateways.filter(move |key| key.kind == Kind::Gateway && gateway_service_account(&key.name.name) == account);
    let entries = world.workloads().filter(move |(_, row)| *row.service_account() == *account).map(|(key, _)| key);
    gateways.chain(entries).filter(|key| key.name.namespace == caller.id.namespace).cloned()
}

fn revoked_by(world: &World, caller: &Caller) -> Option<String> {
    let instance = caller.instance.as_ref()?.as_str();
    let mut objects = world.snapshot().objects();
    let (key, _) = objects.find(|(key, object)| {
        let listed = object.metadata().annotations.get(REVOKED);
        matches!(key.kind, Kind::WorkloadEntry | Kind::WorkloadGroup)
            && key.name.namespace == caller.id.namespace
            && listed.is_some_and(|ids| ids.split(',').any(|id| id.trim() == instance))
    })?;
    Some(key.to_string())
}
