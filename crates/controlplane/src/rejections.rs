//! What proxies reject: problems of the objects that it was made from, and facts for the statuses of Gateways and routes.

use crate::{
    World,
    graph::{Command, Commands},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{FieldPath, Problem};
use tombolo_proto::{ResourceType, Scope};
use tombolo_translate::{
    engine::{Fact, Relation},
    gateway_api,
};
use tombolo_xds::{ConnectionId, Hub, ProxyReport, Rejection};

/// Tells the graph thread whenever rejections change, until `stop`.
pub(crate) fn watch(hub: Hub, commands: Commands, stop: CancellationToken) {
    tokio::spawn(async move {
        let mut changes = hub.watch_rejections();
        while let Some(Ok(())) = stop.run_until_cancelled(changes.changed()).await {
            if commands.send(Command::Rejections).await.is_err() {
                return;
            }
        }
    });
}

/// What the proxies that are connected to this replica reject now.
#[derive(Default)]
pub(crate) struct Rejected {
    /// One problem for each object that a rejected resource was made from.
    pub(crate) problems: BTreeSet<Problem>,
    /// What translation says of it in statuses: of what all proxies reject that are to have it. Where some have taken it, it serves.
    pub(crate) facts: BTreeSet<(Relation, Fact)>,
}

impl Rejected {
    /// What the proxies of a hub reject.
    pub(crate) fn now(hub: &Hub, world: &World) -> Self {
        let (mut rejected, rejections) = (Self::default(), hub.rejections());
        if rejections.is_empty() {
            return rejected;
        }
        let proxies: BTreeMap<_, _> = hub.proxies().into_iter().map(|proxy| (proxy.connection, proxy)).collect();
        for rejection in &rejections {
            let mut left: BTreeMap<Scope, usize> = BTreeMap::new();
            for proxy in rejection.connections.iter().filter_map(|id| proxies.get(id)) {
                let scope = scope(world, &proxy.scopes, rejection);
                if let Some(scope) = &scope {
                    let left = left.entry(scope.clone()).or_insert_with(|| who_has(scope, &proxies));
                    *left = left.saturating_sub(1);
                }
                let objects = scope.map(|scope| origins(world, &scope, rejection)).unwrap_or_default();
                rejected.problems.extend(objects.iter().map(|object| problem(world, object, rejection, &proxy.proxy)));
            }
            let by_all = left.iter().filter(|(_, left)| **left == 0);
            rejected.facts.extend(by_all.filter_map(|(scope, _)| fact(world, scope, rejection)));
        }
        rejected
    }
}

/// The scope of a proxy that a rejected resource is of.
fn scope(world: &World, scopes: &[String], rejection: &Rejection) -> Option<Scope> {
    let mut scopes = scopes.iter().map(|scope| Scope::named(scope));
    scopes.find(|scope| world.engine().maker(scope, rejection.kind, &rejection.name).is_some())
}

/// How many proxies see a scope.
fn who_has(scope: &Scope, proxies: &BTreeMap<ConnectionId, ProxyReport>) -> usize {
    proxies.values().filter(|proxy| proxy.scopes.iter().any(|name| Scope::named(name) == *scope)).count()
}

fn fact(world: &World, scope: &Scope, rejection: &Rejection) -> Option<(Relation, Fact)> {
    let Rejection { kind, name, message, .. } = rejection;
    gateway_api::Rejected::fact(world.engine().maker(scope, *kind, name)?, name, message)
}

fn problem(world: &World, object: &ObjectKey, rejection: &Rejection, proxy: &str) -> Problem {
    let Rejection { kind, name, message, .. } = rejection;
    // A line for people: Envoy's words may be several.
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = format!("proxy {proxy} rejects {} {name} and goes on with what it had: {message}", kind.short());
    let problem = Problem::error(object.reference(), FieldPath::root(), "RejectedByProxy", message);
    match world.origin(&problem.object) {
        Some(origin) => problem.at(origin.clone()),
        None => problem,
    }
}

/// The objects that a rejected resource was made from: those that people write for such a resource, or else all.
fn origins(world: &World, scope: &Scope, rejection: &Rejection) -> BTreeSet<ObjectKey> {
    let all = world.engine().origins(scope, rejection.kind, &rejection.name);
    let likely: BTreeSet<_> = all.iter().filter(|key| likely(rejection.kind).contains(&key.kind)).cloned().collect();
    if likely.is_empty() { all } else { likely }
}

fn likely(kind: ResourceType) -> &'static [Kind] {
    match kind {
        ResourceType::Listener => &[Kind::Gateway],
        ResourceType::Routes => &[Kind::HttpRoute],
        ResourceType::Secret => &[Kind::Secret],
        ResourceType::Cluster | ResourceType::Endpoints | ResourceType::Name => &[Kind::Service, Kind::ServiceEntry],
        ResourceType::NameTable => &[],
    }
}
