//! What proxies reject, as problems of the objects that it was made from.

use crate::{
    World,
    graph::{Command, Commands},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{FieldPath, Problem};
use tombolo_proto::{ResourceType, Scope};
use tombolo_xds::{Hub, Rejection};

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

/// What is rejected now: one problem for each object that a rejected resource was made from.
pub(crate) fn problems(hub: &Hub, world: &World) -> BTreeSet<Problem> {
    let rejections = hub.rejections();
    if rejections.is_empty() {
        return BTreeSet::new();
    }
    let proxies: BTreeMap<_, _> = hub.proxies().into_iter().map(|proxy| (proxy.connection, proxy)).collect();
    let mut problems = BTreeSet::new();
    for rejection in &rejections {
        for proxy in rejection.connections.iter().filter_map(|id| proxies.get(id)) {
            let origins = origins(world, &proxy.scopes, rejection);
            problems.extend(origins.iter().map(|object| problem(world, object, rejection, &proxy.proxy)));
        }
    }
    problems
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
fn origins(world: &World, scopes: &[String], rejection: &Rejection) -> BTreeSet<ObjectKey> {
    let engine = world.engine();
    let found = scopes
        .iter()
        .map(|scope| engine.origins(&Scope::named(scope), rejection.kind, &rejection.name))
        .find(|o| !o.is_empty());
    let all = found.unwrap_or_default();
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
