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
use std::{borrow::Cow, collections::BTreeMap, pin::pin, sync::Arc, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tombolo_api::Kind;
use tombolo_controlplane::{Applied, ControlPlane, Stopped};
use tombolo_core::SourceId;
use tombolo_kubernetes::{retry::Failure, watch::WatchBackoff};
use tombolo_translate::{
    engine::{Fact, Relation},
    gateway_api,
};

/// Services that are open on every node.
const OPEN: &str = "spec.type=NodePort";
/// Before the API server is asked again.
const PAUSE: Duration = Duration::from_secs(1);
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

/// `None` where nothing can be reached there.
fn reached(node: &Node) -> Option<Arc<gateway_api::Node>> {
    let Status { addresses, conditions } = &node.status;
    if !conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True") {
        return None;
    }
    let of = |kind: &str| {
        let those = addresses.iter().filter(|address| address.kind == kind);
        those.filter_map(|address| address.address.parse().ok()).collect()
    };
    let (external, internal): (Box<[_]>, Box<[_]>) = (of("ExternalIP"), of("InternalIP"));
    let somewhere = !external.is_empty() || !internal.is_empty();
    somewhere.then(|| Arc::new(gateway_api::Node { name: node.name_any().into(), external, internal }))
}

/// Where the nodes are reached that are ready.
type Reached = Vec<Arc<gateway_api::Node>>;

/// The nodes that are ready, by name.
#[derive(Default)]
struct Known {
    nodes: BTreeMap<Arc<str>, Arc<gateway_api::Node>>,
    /// While a list is under way: what was in it so far.
    listing: Option<Reached>,
}

impl Known {
    fn take(&mut self, event: Event<Node>) {
        match event {
            Event::Init => self.listing = Some(Vec::new()),
            Event::InitApply(node) => {
                if let Some(listing) = &mut self.listing {
                    listing.extend(reached(&node));
                }
            }
            Event::InitDone => {
                let listed = self.listing.take().unwrap_or_default();
                self.list(listed);
            }
            Event::Apply(node) => match reached(&node) {
                Some(node) => drop(self.nodes.insert(node.name.clone(), node)),
                None => drop(self.nodes.remove(&*node.name_any())),
            },
            Event::Delete(node) => drop(self.nodes.remove(&*node.name_any())),
        }
    }

    fn list(&mut self, nodes: Reached) {
        self.nodes = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
    }

    fn reached(&self) -> Reached {
        self.nodes.values().cloned().collect()
    }
}

/// Tells translation where nodes are reached.
pub(crate) struct Nodes {
    client: Client,
    source: SourceId,
    known: Known,
    told: Reached,
}

impl Nodes {
    /// Reads them where some Service is open on every node, as often as that takes: otherwise Gateways would be said to have lost their
    /// addresses. What must not be read is left to [`follow`](Self::follow).
    pub(crate) async fn read(client: Client, source: SourceId) -> Self {
        let mut known = Known::default();
        loop {
            match list(client.clone()).await {
                Ok(list) => break known.list(list.iter().filter_map(reached).collect()),
                Err(error) if Failure::of(&error) == Failure::Forbidden => {
                    break tracing::warn!("nodes, by whose addresses Gateways may be reached, cannot be read: {error}");
                }
                Err(error) => tracing::warn!("the API server does not list nodes, asking again: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        let told = known.reached();
        Self { client, source, known, told }
    }

    /// All that is known.
    pub(crate) fn facts(&self) -> Vec<(Relation, Fact)> {
        let fact = |node: &Arc<gateway_api::Node>| (Relation::Nodes(self.source.clone()), Fact::Node(node.clone()));
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
        let reached = self.known.reached();
        if reached == self.told {
            return Ok(());
        }
        let facts = reached.iter().cloned().map(Fact::Node).collect();
        plane.replace(Relation::Nodes(self.source.clone()), facts).await?;
        self.told = reached;
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
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

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

    /// `NAME EXTERNAL INTERNAL` of each.
    fn texts(known: &Known) -> Vec<String> {
        let text = |node: &Arc<gateway_api::Node>| format!("{} {:?} {:?}", node.name, node.external, node.internal);
        known.reached().iter().map(text).collect()
    }

    #[test]
    fn nodes_are_reached_where_they_are_ready() {
        let both =
            json!([{"type": "InternalIP", "address": "fd00::3"}, {"type": "InternalIP", "address": "192.0.2.3"}]);
        let events = [node("a", "True", &inner("192.0.2.10")), node("b", "Unknown", &inner("192.0.2.2"))];
        let mut known = known(events.map(Event::Apply).into());
        known.take(Event::Apply(node("c", "True", &both)));
        known.take(Event::Apply(node("d", "True", &inner("not an address"))));
        assert_eq!(texts(&known), ["a [] [192.0.2.10]", "c [] [fd00::3, 192.0.2.3]"]);
        known.take(Event::Apply(node("a", "False", &inner("192.0.2.10"))));
        known.take(Event::Apply(node("b", "True", &inner("192.0.2.2"))));
        assert_eq!(texts(&known), ["b [] [192.0.2.2]", "c [] [fd00::3, 192.0.2.3]"]);
        known.take(Event::Delete(node("c", "True", &both)));
        assert_eq!(texts(&known), ["b [] [192.0.2.2]"]);
    }

    #[test]
    fn addresses_outside_are_told_apart() {
        let outside =
            json!([{"type": "ExternalIP", "address": "203.0.113.1"}, {"type": "InternalIP", "address": "192.0.2.2"}]);
        assert_eq!(texts(&known(vec![Event::Apply(node("b", "True", &outside))])), ["b [203.0.113.1] [192.0.2.2]"]);
    }

    /// An API server that refuses to list nodes so often, and how often it was asked.
    fn api_server(refusals: usize, code: u16) -> (Client, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let of_nodes = request.uri().path().ends_with("/nodes");
            let refused = of_nodes && counter.fetch_add(1, Ordering::Relaxed) < refusals;
            let conditions = json!([{"type": "Ready", "status": "True"}]);
            let node = json!({"metadata": {"name": "a"}, "status": {"addresses": inner("192.0.2.1"), "conditions": conditions}});
            let (code, body) = match of_nodes {
                _ if refused => (code, json!({"status": "Failure", "code": code, "message": "no", "reason": ""})),
                true => (200, json!({"metadata": {"resourceVersion": "1"}, "items": [node]})),
                false => {
                    (200, json!({"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "edge"}}]}))
                }
            };
            let body = Body::from(body.to_string().into_bytes());
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap()))
        });
        (Client::new(service, "default"), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_are_asked_for_until_they_are_read_or_must_not_be() {
        for (code, asked_for, count) in [(500, 3, 1), (403, 1, 0)] {
            let (client, asked) = api_server(2, code);
            let nodes = Nodes::read(client, SourceId::new("test")).await;
            assert_eq!((asked.load(Ordering::Relaxed), nodes.facts().len()), (asked_for, count), "{code}");
        }
    }

    #[test]
    fn half_a_list_changes_nothing_and_a_whole_one_tells_who_is_gone() {
        let listed = |name: &str, address: &str| Event::InitApply(node(name, "True", &inner(address)));
        let mut known = known(vec![Event::Init, listed("a", "192.0.2.1"), listed("b", "192.0.2.2"), Event::InitDone]);
        assert_eq!(texts(&known), ["a [] [192.0.2.1]", "b [] [192.0.2.2]"]);
        known.take(Event::Init);
        known.take(listed("b", "192.0.2.2"));
        assert_eq!(texts(&known), ["a [] [192.0.2.1]", "b [] [192.0.2.2]"]);
        known.take(Event::InitDone);
        assert_eq!(texts(&known), ["b [] [192.0.2.2]"]);
    }
}
