//! Where Gateways are reached, and what can be claimed for them: read before anything is said of them, and followed from then on.

use super::{Ingress, Nodes};
use crate::{metrics::WatchMetrics, watch::Channel};
use kube::Client;
use tokio::{runtime::Handle, sync::oneshot};
use tombolo_controlplane::{ControlPlane, Sink, Source, Update};
use tombolo_core::SourceId;

/// The name that readiness has for it.
const NAME: &str = "load balancers, nodes, Gateway API's channel";

/// A source of no objects: the control plane counts as ready only once it is known where Gateways are reached. Otherwise they would be
/// said to have lost their addresses, and features would be claimed and taken back.
pub(crate) struct Awaited {
    id: SourceId,
    runtime: Handle,
    read: oneshot::Receiver<()>,
}

/// What reads and follows it.
pub(crate) struct Reached {
    client: Client,
    cluster: SourceId,
    metrics: WatchMetrics,
    told: oneshot::Sender<()>,
}

impl Reached {
    /// Of the cluster with this name. Must be called within a tokio runtime.
    pub(crate) fn new(client: Client, cluster: SourceId, metrics: WatchMetrics) -> (Self, Awaited) {
        let (told, read) = oneshot::channel();
        let awaited = Awaited { id: SourceId::new(NAME), runtime: Handle::current(), read };
        (Self { client, cluster, metrics, told }, awaited)
    }

    /// Reads it, as often as that takes, and keeps it current until the control plane stops.
    pub(crate) async fn run(self, plane: ControlPlane) {
        let Self { client, cluster, metrics, told } = self;
        let (ingress, nodes, channel) = tokio::join!(
            Ingress::read(client.clone(), cluster),
            Nodes::read(client.clone(), cluster),
            Channel::read(client)
        );
        let facts = ingress.facts().into_iter().chain(nodes.facts()).chain(channel.facts()).collect();
        if plane.learn(facts).await.is_ok() {
            _ = told.send(()); // stopped: nobody waits
            tokio::join!(
                ingress.follow(plane.clone(), &metrics),
                nodes.follow(plane.clone(), &metrics),
                channel.follow(plane, &metrics)
            );
        }
    }
}

impl Source for Awaited {
    fn id(&self) -> SourceId {
        self.id
    }

    fn run(self: Box<Self>, sink: Sink) {
        let Self { runtime, read, .. } = *self;
        let read = runtime.block_on(async {
            tokio::select! {
                biased;
                () = sink.closed() => false,
                read = read => read.is_ok(),
            }
        });
        if read {
            _ = sink.send(Update { synced: true, ..Update::default() }); // stopped: nobody waits
        }
    }
}
