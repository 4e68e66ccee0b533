//! Who a proxy is, and so what it sees.

use crate::{
    Stopped, World,
    graph::Commands,
    manual::{self, Assigned},
    revocations,
};
use std::{net::IpAddr, sync::Arc};
use tombolo_api::{Kind, gateway::Gateway};
use tombolo_core::{NamespacedName, ProxyId, ProxyKind, SpiffeId};
use tombolo_proto::{
    Scope,
    envoy::{
        envoy::config::core::v3::Node,
        google::protobuf::{Struct, Value, value::Kind as ValueKind},
    },
};
use tombolo_translate::{
    Interception, Variant,
    engine::{Fact, Relation},
    gateway_api::{GATEWAY_LABEL, on_ipv6, service_account},
};
use tombolo_xds::{Class, Classify, Classifying, Peer, Refusal};

/// Classifies by node id, metadata and locality, as far as the caller's identity covers what these say.
pub(crate) struct Classifier {
    commands: Commands,
    assigned: Assigned,
}

impl Classifier {
    pub(crate) fn new(commands: Commands, assigned: Assigned) -> Self {
        Self { commands, assigned }
    }

    async fn class(&self, node: &Node, peer: Option<&Peer>) -> Result<Class, Refusal> {
        let proxy = Proxy::of(node)?;
        if let Some(peer) = peer {
            proxy.is_covered_by(&peer.id)?;
        }
        let (by, assigned) = (peer.cloned(), self.assigned.clone());
        let known = move |world: &World| proxy.known(world, by.as_ref(), &assigned);
        let proxy = self.commands.ask(known).await.map_err(stopped)??;
        self.commands.learn(proxy.facts()).await.map_err(stopped)?;
        Ok(Class { scopes: proxy.scopes().into(), proxy: node.id.as_str().into() })
    }
}

fn stopped(why: Stopped) -> Refusal {
    Refusal::Unavailable(why.to_string())
}

impl Classify for Classifier {
    fn classify<'a>(&'a self, node: &'a Node, peer: Option<&'a Peer>) -> Classifying<'a> {
        Box::pin(self.class(node, peer))
    }
}

/// Gateways that have a status here are those of our classes. They are served by their own ServiceAccount alone: whoever serves one gets
/// its keys.
fn may_serve(world: &World, gateway: &NamespacedName, id: Option<&SpiffeId>) -> Result<(), Refusal> {
    let keys: Vec<_> = world.named(Kind::Gateway, gateway).filter(|key| world.has_status(key)).collect();
    if keys.is_empty() {
        let message = format!("no Gateway {gateway} of a class of ours is accepted here: see its status");
        return Err(Refusal::Unavailable(message));
    }
    let Some(id) = id else { return Ok(()) };
    let holders = Relation::Holder(gateway.namespace.clone(), id.service_account.clone());
    if world.engine().facts(&holders).any(|fact| matches!(fact, Fact::Object(key) if keys.contains(key))) {
        return Ok(());
    }
    let objects = keys.iter().filter_map(|key| world.snapshot().get::<Gateway>(key));
    let accounts: Vec<_> = objects.map(|object| service_account(object)).collect();
    let accounts = accounts.join(" or ");
    let message = format!("Gateway {gateway} is served by ServiceAccount {accounts}, but the node proved to be {id}");
    Err(Refusal::Denied(message))
}

/// Whether a workload outside Kubernetes is there, and runs as this ServiceAccount.
pub(crate) fn runs_as(world: &World, workload: &NamespacedName, account: &str) -> bool {
    let mut rows =
        world.named(Kind::WorkloadEntry, workload).filter_map(|key| Some(world.workload(&key)?.service_account()));
    rows.any(|own| *own == *account)
}

/// What a node says of itself, as far as it decides what it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Proxy {
    namespace: Arc<str>,
    /// The Gateway that it serves; `None` for sidecars.
    gateway: Option<NamespacedName>,
    /// The workload that a sidecar stands beside, where its connections are not captured.
    explicit: Option<Arc<str>>,
    variant: Variant,
    /// Whether it names an IPv6 address of its own.
    has_ipv6: bool,
}

impl Proxy {
    fn of(node: &Node) -> Result<Self, Refusal> {
        let id: ProxyId = node.id.parse().map_err(|error| Refusal::Invalid(format!("{error}")))?;
        let metadata = node.metadata.as_ref();
        let namespace: Arc<str> =
            metadata.and_then(|m| text(m, "NAMESPACE")).map_or(id.name.namespace.clone(), Into::into);
        let label = || metadata.and_then(|m| text(record(m, "LABELS")?, GATEWAY_LABEL));
        let gateway = (id.kind == ProxyKind::Gateway).then(|| NamespacedName {
            namespace: namespace.clone(),
            name: label().map_or(id.name.name.clone(), Into::into),
        });
        let addresses = addresses(metadata, &id.address);
        let variant = Variant {
            zone: node.locality.as_ref().map_or("", |locality| &*locality.zone).into(),
            node: metadata.and_then(|m| text(m, "NODE_NAME")).unwrap_or_default().into(),
            // A proxy that names no address is taken to reach both.
            ipv4: addresses.is_empty() || addresses.iter().any(IpAddr::is_ipv4),
            ipv6: addresses.is_empty() || addresses.iter().any(IpAddr::is_ipv6),
        };
        let uncaptured = metadata.and_then(|m| text(m, "INTERCEPTION_MODE")) == Some("NONE");
        let explicit = (uncaptured && id.kind == ProxyKind::Sidecar).then(|| id.name.name.clone());
        Ok(Self { namespace, gateway, explicit, variant, has_ipv6: addresses.iter().any(IpAddr::is_ipv6) })
    }

    /// What a node says of itself decides what it sees, so it must be what the caller proved: its namespace, and for a gateway its own
    /// ServiceAccount, see [`may_serve`].
    fn is_covered_by(&self, id: &SpiffeId) -> Result<(), Refusal> {
        if self.namespace != id.namespace {
            let message = format!("the node says that its namespace is {}, but it proved to be {id}", self.namespace);
            return Err(Refusal::Denied(message));
        }
        Ok(())
    }

    /// It, where what it is for is here, and its instance may be served. A gateway's proxy is for the Gateway that it names, or else
    /// for that of the Service it is behind.
    fn known(mut self, world: &World, peer: Option<&Peer>, assigned: &Assigned) -> Result<Self, Refusal> {
        if let Some(gateway) = &self.gateway
            && let Err(refusal) = may_serve(world, gateway, peer.map(|peer| &peer.id))
        {
            let (gateway, peer) =
                peer.and_then(|peer| Some((manual::gateway_of(world, peer)?, peer))).ok_or(refusal)?;
            assigned.insert(peer.clone(), gateway.clone());
            self.gateway = Some(gateway);
        }
        let Some(peer) = peer else { return Ok(self) };
        if let Some(workload) = &self.explicit {
            let workload = NamespacedName { namespace: self.namespace.clone(), name: workload.clone() };
            let account = &peer.id.service_account;
            if !runs_as(world, &workload, account) {
                return Err(Refusal::Denied(format!(
                    "no WorkloadEntry {workload} of ServiceAccount {account} is here"
                )));
            }
        }
        // Asked when it was let in, too; but a revocation in between found no stream to end.
        revocations::refusal(world, peer).map_or(Ok(self), Err)
    }

    /// What the engine must know before this proxy's resources exist.
    fn facts(&self) -> Vec<(Relation, Fact)> {
        let levels = self.variant.levels().into_iter();
        let mut facts: Vec<_> = levels.map(|level| (Relation::Variants, Fact::Variant(level))).collect();
        if self.gateway.is_none() {
            facts.push((Relation::SidecarNamespace(self.namespace.clone()), Fact::Unit));
        } else if self.has_ipv6 {
            facts.push((Relation::GatewaysOnIpv6, Fact::Unit));
        }
        facts
    }

    fn scopes(&self) -> Vec<Scope> {
        let (kind, namespace, name, interception) = match (&self.gateway, &self.explicit) {
            (Some(gateway), _) => (ProxyKind::Gateway, &gateway.namespace, &*gateway.name, Interception::Captured),
            (None, Some(workload)) => (ProxyKind::Sidecar, &self.namespace, &**workload, Interception::Explicit),
            (None, None) => (ProxyKind::Sidecar, &self.namespace, "", Interception::Captured),
        };
        let scopes = tombolo_translate::scopes(kind, namespace, name, &self.variant, interception);
        let on_ipv6 = (self.gateway.is_some() && self.has_ipv6).then(|| on_ipv6(&Scope::gateway(namespace, name)));
        on_ipv6.into_iter().chain(scopes).collect()
    }
}

/// `INSTANCE_IPS`, or the address in the node id.
fn addresses(metadata: Option<&Struct>, claimed: &str) -> Vec<IpAddr> {
    let listed = metadata.and_then(|m| text(m, "INSTANCE_IPS")).unwrap_or(claimed);
    let parsed = listed.split(',').filter_map(|address| address.trim().parse().ok());
    parsed.filter(|address: &IpAddr| !address.is_unspecified()).collect()
}

fn field<'a>(record: &'a Struct, name: &str) -> Option<&'a ValueKind> {
    record.fields.get(name).and_then(|Value { kind }| kind.as_ref())
}

fn text<'a>(record: &'a Struct, name: &str) -> Option<&'a str> {
    match field(record, name)? {
        ValueKind::StringValue(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn record<'a>(parent: &'a Struct, name: &str) -> Option<&'a Struct> {
    match field(parent, name)? {
        ValueKind::StructValue(record) => Some(record),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edit, Update};
    use serde_json::json;
    use std::time::SystemTime;
    use tombolo_api::manifest;
    use tombolo_core::{InstanceId, SourceId};

    fn world(documents: &[serde_json::Value]) -> World {
        let mut world = World::default();
        let read =
            |document: &serde_json::Value| Edit::Apply(manifest::decode(document.clone(), None).object.unwrap(), None);
        let update = Update { edits: documents.iter().map(read).collect(), ..Update::default() };
        world.update(SourceId::new("here"), update, SystemTime::UNIX_EPOCH);
        world
    }

    fn string(text: &str) -> Value {
        Value { kind: Some(ValueKind::StringValue(text.into())) }
    }

    fn node(id: &str, metadata: Vec<(&str, Value)>) -> Node {
        let fields = metadata.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Node { id: id.into(), metadata: Some(Struct { fields }), ..Node::default() }
    }

    /// The scopes that are not for some addresses or places only.
    fn plain(proxy: &Proxy) -> Vec<Scope> {
        proxy.scopes().into_iter().filter(|scope| !scope.as_str().contains('@')).collect()
    }

    #[test]
    fn a_gateway_is_named_by_its_label_or_else_by_its_node_id() {
        let id = "router~10.0.0.1~edge-7f9.infra~infra.svc.cluster.local";
        let labels = Struct { fields: [(GATEWAY_LABEL.to_owned(), string("edge"))].into() };
        let labels = Value { kind: Some(ValueKind::StructValue(labels)) };
        let labelled = Proxy::of(&node(id, vec![("LABELS", labels)])).unwrap();
        assert_eq!(plain(&labelled), [Scope::gateway("infra", "edge")]);
        assert_eq!(plain(&Proxy::of(&node(id, vec![])).unwrap()), [Scope::gateway("infra", "edge-7f9")]);
    }

    #[test]
    fn a_gateway_binds_both_families_where_it_has_an_ipv6_address() {
        let first = |addresses: &str| {
            let id = "router~10.0.0.1~edge.infra~infra.svc.cluster.local";
            let proxy = Proxy::of(&node(id, vec![("INSTANCE_IPS", string(addresses))])).unwrap();
            let known = proxy.facts().contains(&(Relation::GatewaysOnIpv6, Fact::Unit));
            (known, proxy.scopes()[0].clone())
        };
        let gateway = Scope::gateway("infra", "edge");
        for addresses in ["10.0.0.1,fd00::1", "fd00::1"] {
            assert_eq!(first(addresses), (true, on_ipv6(&gateway)), "{addresses}");
        }
        for addresses in ["10.0.0.1", "0.0.0.0"] {
            let (known, scope) = first(addresses);
            assert!(!known && scope != on_ipv6(&gateway), "{addresses}");
        }
    }

    #[test]
    fn a_sidecar_sees_its_namespace_and_what_is_public() {
        let id = "sidecar~10.0.0.1~reviews-1.default~default.svc.cluster.local";
        let proxy = Proxy::of(&node(id, vec![("NAMESPACE", string("shop"))])).unwrap();
        assert_eq!(plain(&proxy), [Scope::namespace("shop"), Scope::public()]);
        assert!(proxy.facts().contains(&(Relation::SidecarNamespace("shop".into()), Fact::Unit)));
        assert!(proxy.variant.ipv4 && !proxy.variant.ipv6);
        let learned: Vec<_> = proxy.facts().into_iter().filter(|(r, _)| *r == Relation::Variants).collect();
        // Besides: the namespace, the public, and of each the part for captured connections.
        assert_eq!(learned.len() * 2, proxy.scopes().len() - 4, "each level is known to the engine");
    }

    #[test]
    fn a_sidecar_that_captures_nothing_sees_its_own_workload_too() {
        let id = "sidecar~127.0.0.5~reviews-1.shop~shop.svc.cluster.local";
        let proxy = Proxy::of(&node(id, vec![("INTERCEPTION_MODE", string("NONE"))])).unwrap();
        assert_eq!(plain(&proxy), [Scope::workload("shop", "reviews-1"), Scope::namespace("shop"), Scope::public()]);
        assert!(!proxy.scopes().iter().any(|scope| scope.as_str().ends_with("@captured")));
        let captured = Proxy::of(&node(id, vec![("INTERCEPTION_MODE", string("REDIRECT"))])).unwrap();
        assert_eq!(plain(&captured), [Scope::namespace("shop"), Scope::public()]);
    }

    #[test]
    fn a_node_gets_what_its_identity_covers_and_no_more() {
        let gateway = Proxy::of(&node("router~10.0.0.1~edge.infra~infra.svc.cluster.local", vec![])).unwrap();
        let sidecar = Proxy::of(&node("sidecar~10.0.0.1~vm.infra~infra.svc.cluster.local", vec![])).unwrap();
        let moved =
            Proxy::of(&node("sidecar~10.0.0.1~vm.infra~infra.svc.cluster.local", vec![("NAMESPACE", string("shop"))]));
        let id = |text: &str| text.parse::<SpiffeId>().unwrap();
        let own = id("spiffe://cluster.local/ns/infra/sa/vm");
        let foreign = id("spiffe://cluster.local/ns/shop/sa/edge-tombolo");
        assert_eq!(gateway.is_covered_by(&id("spiffe://cluster.local/ns/infra/sa/edge-tombolo")), Ok(()));
        assert_eq!(sidecar.is_covered_by(&own), Ok(()));
        for (proxy, id) in [(&gateway, &foreign), (&sidecar, &foreign), (&moved.unwrap(), &own)] {
            assert!(matches!(proxy.is_covered_by(id), Err(Refusal::Denied(_))), "{proxy:?} {id}");
        }
    }

    #[test]
    fn a_gateway_is_served_by_the_account_of_its_class_alone() {
        let class = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": "istio"}, "spec": {"controllerName": tombolo_api::gateway::CONTROLLER}});
        let gateway = |name: &str, class: &str| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
                "metadata": {"name": name, "namespace": "infra"},
                "spec": {"gatewayClassName": class, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}})
        };
        let mut manual = gateway("manual", "istio");
        manual["metadata"]["annotations"] = json!({"mesh.tombolo.dev/service-account": "own"});
        manual["spec"]["addresses"] = json!([{"type": "Hostname", "value": "own"}]);
        let world = world(&[class, gateway("edge", "istio"), gateway("foreign", "nginx"), manual]);
        let asked = |gateway: &str, account: &str| {
            let id: SpiffeId = format!("spiffe://cluster.local/ns/infra/sa/{account}").parse().unwrap();
            may_serve(&world, &NamespacedName::new("infra", gateway), Some(&id))
        };
        assert_eq!(asked("edge", "edge-istio"), Ok(()));
        assert_eq!(asked("manual", "own"), Ok(()), "who deploys by hand says who may");
        assert!(matches!(asked("manual", "manual-istio"), Err(Refusal::Denied(_))));
        let denied = asked("edge", "edge-tombolo");
        assert!(matches!(&denied, Err(Refusal::Denied(why)) if why.contains("edge-istio")), "{denied:?}");
        for absent in ["foreign", "missing"] {
            assert!(matches!(asked(absent, &format!("{absent}-nginx")), Err(Refusal::Unavailable(_))), "{absent}");
        }
        assert_eq!(may_serve(&world, &NamespacedName::new("infra", "edge"), None), Ok(()), "plaintext asks nobody");
    }

    #[test]
    fn a_pod_serves_the_gateway_whose_service_it_is_behind() {
        const POD: &str = "6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b";
        let gateway = |name: &str, address: &str| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": name, "namespace": "shop"},
                "spec": {"gatewayClassName": "tombolo", "addresses": [{"type": "Hostname", "value": address}],
                    "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}})
        };
        let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "ingress-1", "namespace": "edge", "labels": {"kubernetes.io/service-name": "ingress"}},
            "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "proxy-1", "uid": POD}}]});
        let grant = json!({"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
            "metadata": {"name": "front", "namespace": "edge"}, "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop"}],
                "to": [{"group": "", "kind": "Service"}]}});
        let front = gateway("front", "ingress.edge.svc.cluster.local");
        let mut world = world(&[front, gateway("other", "other"), slice, grant]);
        world.learn(vec![(Relation::Provisioned, Fact::Unit)], SystemTime::UNIX_EPOCH);
        let asked = |id: &str, instance: Option<InstanceId>| {
            let proxy = Proxy::of(&node("router~10.0.0.1~proxy-1.edge~edge.svc.cluster.local", vec![])).unwrap();
            let peer = Peer { id: id.parse().unwrap(), instance };
            let known = proxy.known(&world, Some(&peer), &Assigned::default());
            known.map(|proxy| proxy.gateway.unwrap().to_string())
        };
        let own = "spiffe://cluster.local/ns/edge/sa/default";
        assert_eq!(asked(own, InstanceId::of_pod(POD).ok()), Ok("shop/front".into()));
        let another = InstanceId::of_pod("6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3c").ok();
        let machine = InstanceId::of_machine(POD).ok();
        let foreign = "spiffe://cluster.local/ns/shop/sa/default";
        let others = [(own, another), (own, machine), (own, None), (foreign, InstanceId::of_pod(POD).ok())];
        for (id, instance) in others {
            let refused = asked(id, instance.clone());
            assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{id} {instance:?}: {refused:?}");
        }
    }

    #[test]
    fn a_node_id_that_cannot_be_read_is_refused() {
        let refusal = Proxy::of(&node("envoy-1", vec![])).unwrap_err();
        assert!(matches!(&refusal, Refusal::Invalid(why) if why.contains("envoy-1")), "{refusal}");
    }
}
