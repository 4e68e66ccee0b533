//! Counts the proxies of all revisions now and then: each replica is asked a few times a minute, and what changed wakes whoever tells of it.

use super::{Connected, connected_to, may_serve, replicas};
use crate::{context::Context, kinds, names::port};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt as _, api::DynamicObject, runtime::reflector::Store};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tombolo_api::mesh::ProxyCounts;
use tombolo_core::{ProxyId, ProxyKind};

/// From one count to the next: each is a page of all of its proxies from each replica.
const PERIOD: Duration = Duration::from_secs(20);
/// What a proxy sees where its connections are not redirected to it: its own workload, which is a WorkloadEntry.
const OWN_WORKLOAD: &str = "workload/";

/// What was counted, by the names of revisions.
pub(crate) type Counts = BTreeMap<String, Count>;

/// How many proxies are connected to a revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// By those of its replicas that answered.
    pub(crate) proxies: ProxyCounts,
    /// Whether all of them did.
    pub(crate) complete: bool,
    /// Whether there are connections of which it is not known yet whose they are: they are not counted.
    pub(crate) unknown: bool,
}

/// Counts until it is told to stop.
pub(crate) async fn keep(context: &Context, revisions: Store<DynamicObject>, stop: &CancellationToken) {
    stop.run_until_cancelled(keep_by(context, revisions, |pod| connected_to(pod).boxed())).await;
}

async fn keep_by<A>(context: &Context, revisions: Store<DynamicObject>, ask: impl Fn(Pod) -> A)
where
    A: Future<Output = Option<Vec<Connected>>>,
{
    // Whoever fills the store goes when this does.
    _ = revisions.wait_until_ready().await;
    let mut uncounted = Uncounted::default();
    loop {
        let (mut counts, known) = (Counts::new(), revisions.state());
        for revision in &known {
            let (count, silent) = count(context, namespace(revision), &revision.name_any(), &ask).await;
            uncounted.note(&revision.name_any(), silent);
            counts.insert(revision.name_any(), count);
        }
        uncounted.0.retain(|name| counts.contains_key(name));
        context.proxies.send_if_modified(|known| {
            let new = *known != counts;
            *known = counts;
            new
        });
        tokio::time::sleep(PERIOD).await;
    }
}

fn namespace(revision: &DynamicObject) -> &str {
    revision.data.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or_default()
}

/// How many proxies are connected to a revision, and why that may not be all of them.
async fn count<A>(context: &Context, namespace: &str, revision: &str, ask: impl Fn(Pod) -> A) -> (Count, Option<String>)
where
    A: Future<Output = Option<Vec<Connected>>>,
{
    let pods = match replicas(context, namespace, Some(revision)).await {
        Ok(pods) => pods,
        Err(failure) => return (Count::default(), Some(failure.message)),
    };
    let (mut connected, mut silent) = (Vec::new(), None);
    for pod in pods.into_iter().filter(may_serve) {
        let name = pod.name_any();
        match ask(pod).await {
            Some(heard) => connected.extend(heard),
            None => silent = Some(format!("pod {name} does not answer on port {}", port::MONITORING)),
        }
    }
    let unknown = connected.iter().any(|of| of.proxy.parse::<ProxyId>().is_err());
    (Count { proxies: by_kind(connected), complete: silent.is_none(), unknown }, silent)
}

/// Revisions whose proxies cannot be counted. That is told when it begins and when it ends, however long it lasts.
#[derive(Default)]
struct Uncounted(BTreeSet<String>);

impl Uncounted {
    /// Notes why not all of a revision's proxies were counted, if so; whether that is news.
    fn note(&mut self, revision: &str, silent: Option<String>) -> bool {
        let kind = kinds::REVISION.name;
        match silent {
            Some(why) if self.0.insert(revision.to_owned()) => {
                tracing::warn!(kind, name = revision, "not all of its proxies can be counted: {why}");
                true
            }
            None if self.0.remove(revision) => {
                tracing::info!(kind, name = revision, "all of its proxies are counted again");
                true
            }
            _ => false,
        }
    }
}

/// Each proxy once, though while it moves it may be connected to two replicas. Of whom it is not known yet what it is, is not counted.
fn by_kind(connected: Vec<Connected>) -> ProxyCounts {
    let (mut counts, mut seen) = (ProxyCounts::default(), HashSet::new());
    for Connected { proxy, scopes } in connected {
        let Ok(id) = proxy.parse::<ProxyId>() else { continue };
        if !seen.insert(proxy) {
            continue;
        }
        let count = match id.kind {
            ProxyKind::Gateway => &mut counts.gateways,
            ProxyKind::Sidecar if scopes.iter().any(|scope| scope.starts_with(OWN_WORKLOAD)) => {
                &mut counts.virtual_machines
            }
            ProxyKind::Sidecar => &mut counts.sidecars,
        };
        *count += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
