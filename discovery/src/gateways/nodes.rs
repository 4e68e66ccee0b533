//! Where nodes are reached: facts for translation, which says so of Gateways whose Services are open on every node.
//!
//! Nodes are watched only while there is such a Gateway. Of a node its addresses and whether it is ready are kept, and nothing is said
//! where these stay as they are: heartbeats cost no more than to be read.

use crate::{metrics::WatchMetrics, watched::Watched};
use futures::StreamExt;
use k8s_openapi::{
    ClusterResourceScope,
    api::core::v1::{Node as FullNode, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    runtime::watcher::{self, Event},
};
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap, pin::pin, sync::Arc, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tombolo_api::Kind;
use tombolo_controlplane::{Applied, ControlPlane, Stopped};
use tombolo_core::SourceId;
use tombolo_kubernetes::retry::Failure;
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
        let fact = |node: &Arc<gateway_api::Node>| (Relation::Nodes(self.source), Fact::Node(node.clone()));
        self.told.iter().map(fact).collect()
    }

    /// Keeps it current until the control plane stops.
    pub(crate) async fn follow(mut self, plane: ControlPlane, metrics: &WatchMetrics) {
        // Stopped: nobody reads it.
        _ = self.run(&plane, metrics).await;
    }

    async fn run(&mut self, plane: &ControlPlane, metrics: &WatchMetrics) -> Result<(), Stopped> {
        let mut changes = plane.subscribe();
        plane.ready().await;
        let source = self.source;
        loop {
            if !is_wanted(source, plane).await? {
                self.known = Known::default();
                self.tell(plane).await?;
                until(source, plane, &mut changes, true).await?;
            }
            self.watch(plane, &mut changes, metrics).await?;
        }
    }

    /// Watches while anybody wants to know.
    async fn watch(
        &mut self,
        plane: &ControlPlane,
        changes: &mut Receiver<Arc<Applied>>,
        metrics: &WatchMetrics,
    ) -> Result<(), Stopped> {
        let config = watcher::Config::default().page_size(PAGE);
        let api = Api::<Node>::all(self.client.clone());
        let events = tombolo_kubernetes::watch::events(api, config);
        let mut events = pin!(Watched::new(metrics, "Node", "addresses").events(events));
        let source = self.source;
        let mut unwanted = pin!(until(source, plane, changes, false));
        loop {
            let event = tokio::select! {
                stopped = &mut unwanted => return stopped,
                event = events.next() => event,
            };
            let Some(event) = event else { return Ok(()) };
            self.known.take(event);
            self.tell(plane).await?;
        }
    }

    async fn tell(&mut self, plane: &ControlPlane) -> Result<(), Stopped> {
        let reached = self.known.reached();
        if reached == self.told {
            return Ok(());
        }
        let facts = reached.iter().cloned().map(Fact::Node).collect();
        plane.replace(Relation::Nodes(self.source), facts).await?;
        self.told = reached;
        Ok(())
    }
}

/// Until anybody wants to know of nodes, or nobody does any more.
async fn until(
    source: SourceId,
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

async fn is_wanted(source: SourceId, plane: &ControlPlane) -> Result<bool, Stopped> {
    let relation = Relation::OnNodes(source);
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
mod tests;
