//! Who there is: the workloads and gateways that the objects speak of, and which of their instances are revoked.

use crate::{ControlPlane, World, graph::Commands};
use std::sync::Arc;
use tombolo_api::{Kind, ObjectKey};
use tombolo_ca::{Answer, Bound, Caller, Existence, Exists, ExistsError, Proven, stable_uid};
use tombolo_core::{InstanceId, SpiffeId};
use tombolo_translate::engine::{Fact, Relation};

/// Answers from what the graph thread knows. A mesh that renews its certificates asks thousands of times a second: only while the
/// thread is at work is it waited for.
pub struct Inhabitants {
    /// Whom to ask.
    commands: Commands,
    /// Who issues tokens that are bound to objects which are here. What others' tokens are bound to only their issuers know.
    issuers: Arc<[String]>,
}

impl Inhabitants {
    /// Those of a control plane. Tokens of `issuers` are bound to its objects, and count while those are there; tokens of others
    /// count for ServiceAccounts that a workload here has.
    pub fn new(plane: &ControlPlane, issuers: Vec<String>) -> Self {
        Self { commands: plane.commands().clone(), issuers: issuers.into() }
    }
}

impl Exists for Inhabitants {
    fn exists<'a>(&'a self, caller: &'a Caller) -> Answer<'a, Result<Existence, ExistsError>> {
        Box::pin(async move {
            if let Some(existence) = self.commands.glance(|world| existence(world, caller, &self.issuers)) {
                return Ok(existence);
            }
            let (caller, issuers) = (caller.clone(), self.issuers.clone());
            let existence = self.commands.ask(move |world| existence(world, &caller, &issuers)).await;
            existence.map_err(|stopped| ExistsError(Box::new(stopped)))
        })
    }
}

/// The UID of an object of a directory, which has none of its own: what tokens of the local issuer are bound to.
pub fn directory_uid(key: &ObjectKey) -> String {
    stable_uid(&format!("{}/{}", key.kind.name(), key.name))
}

fn existence(world: &World, caller: &Caller, issuers: &[String]) -> Existence {
    let held = holders(world, caller);
    if held.is_empty() {
        let what = format!(
            "a Gateway or WorkloadEntry of ServiceAccount {}/{}",
            caller.id.namespace, caller.id.service_account
        );
        return Existence::Gone(what);
    }
    let revoked = caller.instance.as_ref().and_then(|instance| revoked_by(world, &caller.id.namespace, instance));
    if let Some(by) = revoked {
        return Existence::Revoked(by);
    }
    match &caller.proven {
        Proven::Token(Bound { issuer, pod: Some(pod), .. })
            if issuers.contains(issuer) && !held.iter().any(|key| directory_uid(key) == pod.uid) =>
        {
            Existence::Gone(format!("what the token is bound to, {}/{},", caller.id.namespace, pod.name))
        }
        _ => Existence::Exists,
    }
}

impl World {
    /// What revokes a caller's instance, if anything does.
    pub fn revoked_by(&self, caller: &Caller) -> Option<String> {
        let instance = caller.instance.as_ref()?;
        revoked_by(self, &caller.id.namespace, instance)
    }

    /// Whether a workload outside Kubernetes runs as this identity's ServiceAccount.
    pub fn has_machine(&self, id: &SpiffeId) -> bool {
        let holder = Relation::Holder(id.namespace.clone(), id.service_account.clone());
        objects(self, &holder).any(|key| key.kind != Kind::Gateway)
    }
}

/// The objects whose proxies hold the caller's identity.
fn holders(world: &World, caller: &Caller) -> Vec<ObjectKey> {
    let (namespace, account) = (&caller.id.namespace, &caller.id.service_account);
    let holders = objects(world, &Relation::Holder(namespace.clone(), account.clone()));
    holders.filter(|key| key.kind != Kind::Gateway || world.has_status(key)).cloned().collect()
}

/// What revokes an instance of a namespace, if anything does.
pub(crate) fn revoked_by(world: &World, namespace: &Arc<str>, instance: &InstanceId) -> Option<String> {
    let revoked = Relation::Revoked(namespace.clone(), instance.as_str().into());
    objects(world, &revoked).next().map(ToString::to_string)
}

fn objects<'w>(world: &'w World, relation: &Relation) -> impl Iterator<Item = &'w ObjectKey> + use<'w> {
    world.engine().facts(relation).filter_map(|fact| match fact {
        Fact::Object(key) => Some(key),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edit, Update};
    use serde_json::{Value, json};
    use std::time::SystemTime;
    use tombolo_api::manifest;
    use tombolo_ca::ObjectUid;
    use tombolo_core::{NamespacedName, SourceId};

    fn world(documents: &[Value]) -> World {
        let mut world = World::default();
        let read = |document: &Value| Edit::Apply(manifest::decode(document.clone(), None).object.unwrap(), None);
        let update = Update { edits: documents.iter().map(read).collect(), ..Update::default() };
        world.update(SourceId::new("here"), update, SystemTime::UNIX_EPOCH);
        world
    }

    fn entry(annotations: &Value) -> Value {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
            "metadata": {"name": "db-1", "namespace": "shop", "annotations": annotations},
            "spec": {"address": "10.0.0.1", "serviceAccount": "db"}})
    }

    fn caller(id: &str, instance: Option<&str>, pod: Option<ObjectUid>) -> Caller {
        let proven = match pod {
            Some(pod) => {
                let (issuer, service_account) = ("here".into(), "x".into());
                Proven::Token(Bound { issuer, service_account, pod: Some(pod), secret: None })
            }
            None => Proven::Certificate { serial: "1".into() },
        };
        let instance = instance.map(|instance| InstanceId::parse(instance).unwrap());
        Caller { id: id.parse().unwrap(), instance, proven, expires: SystemTime::UNIX_EPOCH }
    }

    /// To a control plane with an issuer of its own.
    fn existence(world: &World, caller: &Caller) -> Existence {
        super::existence(world, caller, &["here".to_owned()])
    }

    const DB: &str = "spiffe://cluster.local/ns/shop/sa/db";

    #[test]
    fn identities_of_workloads_exist_in_their_namespace_alone() {
        let world = world(&[entry(&json!({}))]);
        assert_eq!(existence(&world, &caller(DB, None, None)), Existence::Exists);
        for other in ["spiffe://cluster.local/ns/shop/sa/web", "spiffe://cluster.local/ns/other/sa/db"] {
            assert!(matches!(existence(&world, &caller(other, None, None)), Existence::Gone(_)), "{other}");
        }
    }

    #[test]
    fn a_token_counts_while_the_object_is_there_that_it_is_bound_to() {
        let world = world(&[entry(&json!({}))]);
        let name = NamespacedName::new("shop", "db-1");
        let key = ObjectKey { source: SourceId::new("here"), kind: Kind::WorkloadEntry, name };
        let bound = |uid: String| caller(DB, None, Some(ObjectUid { name: "db-1".into(), uid }));
        assert_eq!(existence(&world, &bound(directory_uid(&key))), Existence::Exists);
        assert!(matches!(existence(&world, &bound("another".into())), Existence::Gone(_)));
        let elsewhere = super::existence(&world, &bound("another".into()), &[]);
        assert_eq!(elsewhere, Existence::Exists, "what another issuer's tokens are bound to is not here");
    }

    #[test]
    fn a_gateway_holds_its_own_account() {
        let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "shop"},
            "spec": {"gatewayClassName": "tombolo", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}});
        let world = world(&[gateway]);
        let edge = caller("spiffe://cluster.local/ns/shop/sa/edge-tombolo", None, None);
        assert_eq!(existence(&world, &edge), Existence::Exists);
        let other = caller("spiffe://cluster.local/ns/shop/sa/side-tombolo", None, None);
        assert!(matches!(existence(&world, &other), Existence::Gone(_)));
    }

    #[test]
    fn an_instance_is_revoked_by_its_entry_or_its_group() {
        let group = json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup",
            "metadata": {"name": "dbs", "namespace": "shop", "annotations": {"mesh.tombolo.dev/revoked-instances": "m3"}},
            "spec": {"template": {}}});
        let annotations =
            json!({"mesh.tombolo.dev/revoked-instances": "m1, m2", "istio.io/autoRegistrationGroup": "dbs"});
        let world = world(&[group, entry(&annotations)]);
        for (instance, by) in [("m1", "WorkloadEntry"), ("m2", "WorkloadEntry"), ("m3", "WorkloadGroup")] {
            let Existence::Revoked(who) = existence(&world, &caller(DB, Some(instance), None)) else {
                panic!("{instance} is not revoked")
            };
            assert!(who.contains(by), "{instance} is revoked by {who}");
        }
        assert_eq!(existence(&world, &caller(DB, Some("m"), None)), Existence::Exists);
    }
}
