//! Where nodes are reached: facts for translation, which says so of Gateways whose Services are open on every node.
//!
//! Nodes are watched only while there is such a Gateway. Of a node its addresses and whether it is ready are kept, and nothing is said
//! where these stay as they are: heartbeats cost no more than to be read.

use futures::StreamExt;
use k8s_openapi::{
    ClusterResourceScope,
    api::core::v1::{Node as FullNode, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::Deserialize;
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    pin::pin,
    sync::Arc,
};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tombolo_api::Kind;
use tombolo_controlplane::{Applied, ControlPlane, Stopped};
use tombolo_core::SourceId;
use tombolo_kubernetes::watch::WatchBackoff;
use tombolo_translate::{
    engine::{Fact, Relation},
    gateway_api::MOST_ADDRESSES,
};

/// Services that are open on every node.
const OPEN: &str = "spec.type=NodePort";
/// Nodes that are asked for at once.
const PAGE: u32 = 500;

/// What is read of a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    metadata: ObjectMeta,
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    addresses: Vec<Address>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Resource for Node {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        FullNode::kind(&())
    }

    fn group(_: &()) -> Cow<'_, str> {
        FullNode::group(&())
    }

    fn version(_: &()) -> Cow<'_, str> {
        FullNode::version(&())
    }

    fn plural(_: &()) -> Cow<'_, str> {
        FullNode::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Where a node that is ready is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reach {
    external: Vec<IpAddr>,
    internal: Vec<IpAddr>,
}

impl Reach {
    /// `None` where nothing can be reached there.
    fn of(node: &Node) -> Option<Self> {
        let Status { addresses, conditions } = &node.status;
        if !conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True") {
            return None;
        }
        let of = |kind: &str| {
            let those = addresses.iter().filter(|address| address.kind == kind);
            those.filter_map(|address| address.address.parse().ok()).collect()
        };
        let reach = Self { external: of("ExternalIP"), internal: of("InternalIP") };
        (reach != Self::default()).then_some(reach)
    }
}

/// Where the nodes are reached that are ready, by name.
#[derive(Default)]
struct Known {
    nodes: HashMap<Box<str>, Reach>,
    /// While a list is under way: what was in it so far.
    listing: Option<HashMap<Box<str>, Reach>>,
}

impl Known {
    fn take(&mut self, event: Event<Node>) {
        match event {
            Event::Init => self.listing = Some(HashMap::new()),
            Event::InitApply(node) => {
                if let Some(listing) = &mut self.listing {
                    listing.extend(reached(&node));
                }
            }
            Event::InitDone => self.nodes = self.listing.take().unwrap_or_default(),
            Event::Apply(node) => match Reach::of(&node) {
                Some(reach) => drop(self.nodes.insert(node.name_any().into(), reach)),
                None => drop(self.nodes.remove(&*node.name_any())),
            },
            Event::Delete(node) => drop(self.nodes.remove(&*node.name_any())),
        }
    }

    /// Of all nodes, so that each is reached from wherever the others are: those outside the cluster, where any node has one, or else
    /// those within its network. No more than a Gateway's status takes.
    fn addresses(&self) -> Vec<Arc<str>> {
        let all =
            |of: fn(&Reach) -> &[IpAddr]| -> BTreeSet<IpAddr> { self.nodes.values().flat_map(of).copied().collect() };
        let external = all(|reach| &reach.external);
        let addresses = if external.is_empty() { all(|reach| &reach.internal) } else { external };
        addresses.into_iter().take(MOST_ADDRESSES).map(|address| address.to_string().into()).collect()
    }
}

/// Tells translation where nodes are reached.
pub(crate) struct Nodes {
    client: Client,
    source: SourceId,
    known: Known,
    told: Vec<Arc<str>>,
}

impl Nodes {
    /// Reads them where some Service is open on every node: otherwise Gateways would be said to have lost their addresses. What cannot
    /// be read is left to [`follow`](Self::follow).
    pub(crate) async fn read(client: Client, source: SourceId) -> Self {
        let mut known = Known::default();
        match list(client.clone()).await {
            Ok(list) => known.nodes = list.iter().filter_map(reached).collect(),
            Err(error) => tracing::warn!("nodes, by whose addresses Gateways may be reached, cannot be read: {error}"),
        }
        let told = known.addresses();
        Self { client, source, known, told }
    }

    /// All that is known.
    pub(crate) fn facts(&self) -> Vec<(Relation, Fact)> {
        let fact = |address: &Arc<str>| (Relation::NodeAddresses(self.source.clone()), Fact::Name(address.clone()));
        self.told.iter().map(fact).collect()
    }

    /// Keeps it current until the control plane stops.
    pub(crate) async fn follow(mut self, plane: ControlPlane) {
        // Stopped: nobody reads it.
        _ = self.run(&plane).await;
    }

    async fn run(&mut self, plane: &ControlPlane) -> Result<(), Stopped> {
        let mut changes = plane.subscribe();
        plane.ready().await;
        let source = self.source.clone();
        loop {
            if !is_wanted(&source, plane).await? {
                self.known = Known::default();
                self.tell(plane).await?;
                until(&source, plane, &mut changes, true).await?;
            }
            self.watch(plane, &mut changes).await?;
        }
    }

    /// Watches while anybody wants to know.
    async fn watch(&mut self, plane: &ControlPlane, changes: &mut Receiver<Arc<Applied>>) -> Result<(), Stopped> {
        let config = watcher::Config::default().page_size(PAGE);
        let api = Api::<Node>::all(self.client.clone());
        let mut events = pin!(watcher(api, config).backoff(WatchBackoff::default()));
        let source = self.source.clone();
        let mut unwanted = pin!(until(&source, plane, changes, false));
        let mut failing = false;
        loop {
            let event = tokio::select! {
                stopped = &mut unwanted => return stopped,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    failing = false;
                    self.known.take(event);
                    self.tell(plane).await?;
                }
                Some(Err(error)) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(
                        "nodes, by whose addresses Gateways are reached, cannot be watched, trying again: {error}"
                    );
                }
                Some(Err(_)) => {}
                None => return Ok(()),
            }
        }
    }

    async fn tell(&mut self, plane: &ControlPlane) -> Result<(), Stopped> {
        let addresses = self.known.addresses();
        if addresses == self.told {
            return Ok(());
        }
        let facts = addresses.iter().cloned().map(Fact::Name).collect();
        plane.replace(Relation::NodeAddresses(self.source.clone()), facts).await?;
        self.told = addresses;
        Ok(())
    }
}

/// Until anybody wants to know of nodes, or nobody does any more.
async fn until(
    source: &SourceId,
    plane: &ControlPlane,
    changes: &mut Receiver<Arc<Applied>>,
    wanted: bool,
) -> Result<(), Stopped> {
    while is_wanted(source, plane).await? != wanted {
        loop {
            match changes.recv().await {
                Ok(change) if !concerns(&change) => {}
                // Of a plane that stopped, asking it again tells.
                Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => break,
            }
        }
    }
    Ok(())
}

async fn is_wanted(source: &SourceId, plane: &ControlPlane) -> Result<bool, Stopped> {
    let relation = Relation::OnNodes(source.clone());
    plane.ask(move |world| world.engine().facts(&relation).next().is_some()).await
}

fn concerns(change: &Applied) -> bool {
    change.statuses.iter().chain(change.objects.iter().map(|(key, _)| key)).any(|key| key.kind == Kind::Gateway)
}

fn reached(node: &Node) -> Option<(Box<str>, Reach)> {
    Some((node.name_any().into(), Reach::of(node)?))
}

/// All nodes, if any Service is open on them.
async fn list(client: Client) -> kube::Result<Vec<Node>> {
    let services = Api::<Service>::all(client.clone());
    if services.list_metadata(&ListParams::default().fields(OPEN).limit(1)).await?.items.is_empty() {
        return Ok(Vec::new());
    }
    let api = Api::<Node>::all(client);
    let (mut nodes, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let list = api.list(&page).await?;
        nodes.extend(list.items);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(nodes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, ready: &str, addresses: &Value) -> Node {
        let conditions = json!([{"type": "MemoryPressure", "status": "False"},
            {"type": "Ready", "status": ready, "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]);
        let document = json!({
            "metadata": {"name": name, "resourceVersion": "1", "labels": {"a": "b"}},
            "spec": {"podCIDR": "10.0.0.0/24"},
            "status": {"addresses": addresses, "conditions": conditions, "images": [{"names": ["a"]}]},
        });
        serde_json::from_value(document).unwrap()
    }

    fn inner(address: &str) -> Value {
        json!([{"type": "Hostname", "address": "node"}, {"type": "InternalIP", "address": address}])
    }

    fn known(events: Vec<Event<Node>>) -> Known {
        let mut known = Known::default();
        events.into_iter().for_each(|event| known.take(event));
        known
    }

    fn texts(known: &Known) -> Vec<String> {
        known.addresses().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nodes_are_reached_where_they_are_ready_in_the_order_of_their_addresses() {
        let both =
            json!([{"type": "InternalIP", "address": "fd00::3"}, {"type": "InternalIP", "address": "192.0.2.3"}]);
        let events = [node("a", "True", &inner("192.0.2.10")), node("b", "Unknown", &inner("192.0.2.2"))];
        let mut known = known(events.map(Event::Apply).into());
        known.take(Event::Apply(node("c", "True", &both)));
        known.take(Event::Apply(node("d", "True", &inner("not an address"))));
        assert_eq!(texts(&known), ["192.0.2.3", "192.0.2.10", "fd00::3"]);
        known.take(Event::Apply(node("a", "False", &inner("192.0.2.10"))));
        known.take(Event::Apply(node("b", "True", &inner("192.0.2.2"))));
        assert_eq!(texts(&known), ["192.0.2.2", "192.0.2.3", "fd00::3"]);
        known.take(Event::Delete(node("c", "True", &both)));
        assert_eq!(texts(&known), ["192.0.2.2"]);
    }

    #[test]
    fn addresses_outside_go_before_those_within() {
        let mut known = known(vec![Event::Apply(node("a", "True", &inner("192.0.2.1")))]);
        let outside =
            json!([{"type": "ExternalIP", "address": "203.0.113.1"}, {"type": "InternalIP", "address": "192.0.2.2"}]);
        known.take(Event::Apply(node("b", "True", &outside)));
        assert_eq!(texts(&known), ["203.0.113.1"]);
    }

    #[test]
    fn half_a_list_changes_nothing_and_a_whole_one_tells_who_is_gone() {
        let listed = |name: &str, address: &str| Event::InitApply(node(name, "True", &inner(address)));
        let mut known = known(vec![Event::Init, listed("a", "192.0.2.1"), listed("b", "192.0.2.2"), Event::InitDone]);
        assert_eq!(texts(&known), ["192.0.2.1", "192.0.2.2"]);
        known.take(Event::Init);
        known.take(listed("b", "192.0.2.2"));
        assert_eq!(texts(&known), ["192.0.2.1", "192.0.2.2"]);
        known.take(Event::InitDone);
        assert_eq!(texts(&known), ["192.0.2.2"]);
    }

    #[test]
    fn a_status_takes_no_more_than_so_many() {
        let all = (1..=40).map(|n| Event::Apply(node(&format!("n{n}"), "True", &inner(&format!("192.0.2.{n}")))));
        let known = known(all.collect());
        assert_eq!(texts(&known).len(), MOST_ADDRESSES);
        assert_eq!(texts(&known)[15], "192.0.2.16");
    }
}
