//! The replicas of all revisions that share this replica's duties: those of its namespace.

mod asking;

pub(crate) use asking::Asking;

use crate::{metrics::WatchMetrics, watched::Watched};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store, reflector},
        watcher,
    },
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// What the operator labels the pods of every control plane with, and the label that says of which revision.
const DISCOVERY: &str = "app.kubernetes.io/name=tombolo-discovery";
const REVISION: &str = "istio.io/rev";
/// Until a pod is looked for again that is not known.
const LOOK: Duration = Duration::from_secs(2);

/// All replicas, by their pods. A handle: clones see the same.
#[derive(Clone)]
pub(crate) struct Replicas {
    pods: Store<Pod>,
    /// This one's pod.
    own: Arc<str>,
    /// Where pages are.
    port: u16,
}

impl Replicas {
    /// Follows the pods of a namespace from now on. `own` is the pod that this runs in, and pages are on `port` of each.
    pub(crate) fn start(client: Client, namespace: &str, own: &str, port: u16, watches: &WatchMetrics) -> Self {
        let (pods, writer) = reflector::store();
        let api = Api::<Pod>::namespaced(client, namespace);
        let config = watcher::Config::default().labels(DISCOVERY);
        let events = tombolo_kubernetes::watch::events(api, config).modify(slim);
        let events = Watched::new(watches, "Pod", "replicas").events(events);
        let kept = reflector(writer, events.map(Ok::<_, watcher::Error>));
        tokio::spawn(kept.for_each(|_| std::future::ready(())));
        Self { pods, own: own.into(), port }
    }

    /// Resolves once all were read.
    pub(crate) async fn read(&self) {
        _ = self.pods.wait_until_ready().await; // what reads them lives as long as the program
    }

    /// The others that may serve somebody, by name, and where their pages are.
    pub(crate) fn others(&self) -> BTreeMap<Arc<str>, SocketAddr> {
        let others = self.pods.state().into_iter().filter(|pod| pod.name_any() != *self.own);
        others.filter_map(|pod| Some((pod.name_any().into(), SocketAddr::new(address(&pod)?, self.port)))).collect()
    }

    /// Whether a replica of another revision than this one leads, where `holder` says which replica does. Followed from now on.
    pub(crate) fn led_by_another(
        &self,
        revision: &str,
        holder: watch::Receiver<Option<Arc<str>>>,
    ) -> watch::Receiver<bool> {
        let (told, led) = watch::channel(false);
        tokio::spawn(self.clone().follow(revision.to_owned(), holder, told));
        led
    }

    async fn follow(self, own: String, mut holder: watch::Receiver<Option<Arc<str>>>, told: watch::Sender<bool>) {
        loop {
            let leader = holder.borrow_and_update().clone();
            let revision = leader.as_deref().and_then(|leader| self.revision_of(leader));
            told.send_replace(revision.as_ref().is_some_and(|revision| *revision != own));
            let unknown = leader.is_some() && revision.is_none();
            tokio::select! {
                changed = holder.changed() => if changed.is_err() { return },
                () = told.closed() => return,
                () = sleep(LOOK), if unknown => {} // its pod is about to be seen
            }
        }
    }

    /// The revision that a pod is of; `None` where no such pod is known.
    fn revision_of(&self, pod: &str) -> Option<String> {
        let pods = self.pods.state();
        let pod = pods.iter().find(|known| known.name_any() == pod)?;
        pod.labels().get(REVISION).cloned()
    }
}

/// Of what runs: nobody is connected to what has ended.
fn address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    let runs = !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    status.pod_ip.as_ref().filter(|_| runs)?.parse().ok()
}

/// The rest of a pod is large.
fn slim(pod: &mut Pod) {
    pod.spec = None;
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    if let Some(status) = &mut pod.status {
        status.conditions = None;
        status.container_statuses = None;
    }
}

#[cfg(test)]
mod tests;
