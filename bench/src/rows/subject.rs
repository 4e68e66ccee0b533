//! The control plane that is measured: the one of `tombolo run`, with a source that says what it is told to.

use anyhow::Context as _;
use serde_json::Value;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
};
use tokio::{runtime::Runtime, sync::oneshot};
use tombolo_api::AnyObject;
use tombolo_bench::{clock::Moment, fixture};
use tombolo_controlplane::{ControlPlane, Edit, Setup, Sink, Source, SystemClock, Update};
use tombolo_core::SourceId;
use tombolo_registry::Snapshot;

/// A control plane that serves on a loopback port, until it is dropped.
pub(super) struct Subject {
    source: SourceId,
    plane: ControlPlane,
    sink: Sink,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

/// Says everything once, then passes its sink on.
struct Told {
    id: SourceId,
    objects: Vec<AnyObject>,
    sink: Sender<Sink>,
}

impl Source for Told {
    fn id(&self) -> SourceId {
        self.id
    }

    fn run(self: Box<Self>, sink: Sink) {
        let edits = self.objects.into_iter().map(|object| Edit::Apply(object, None)).collect();
        if sink.send(Update { edits, synced: true, ..Update::default() }).is_ok() {
            _ = self.sink.send(sink); // fails where nobody waits any more
        }
    }
}

impl Subject {
    /// Starts one that holds these manifests. Returns when it is ready.
    pub(super) fn start(manifests: impl IntoIterator<Item = Value>) -> anyhow::Result<Self> {
        let objects = fixture::objects(manifests)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (sink, given) = channel();
        let id = SourceId::new("bench");
        let source = Told { id, objects, sink };
        let setup = Setup {
            sources: vec![Box::new(source)],
            facts: Vec::new(),
            store: None,
            xds: tombolo_xds::Config::default(),
            clock: Arc::new(SystemClock),
        };
        let entered = runtime.enter();
        let plane = ControlPlane::start(setup)?;
        drop(entered);
        let listener = runtime.block_on(async { tombolo_xds::listen((Ipv4Addr::LOCALHOST, 0).into()) })?;
        let (address, hub) = (listener.local_addr()?, plane.hub().clone());
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(async move {
            let stopped = async { _ = stopped.await };
            tombolo_xds::serve(listener, hub, stopped).await;
        });
        runtime.block_on(plane.ready());
        let sink = given.recv().context("the source has ended")?;
        Ok(Self { source: id, plane, sink, address, stop: Some(stop), runtime: Some(runtime) })
    }

    /// The control plane itself.
    pub(super) fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Whose objects it has.
    pub(super) fn source(&self) -> SourceId {
        self.source
    }

    /// What it runs on.
    pub(super) fn runtime(&self) -> anyhow::Result<&Runtime> {
        self.runtime.as_ref().context("stopped")
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads a manifest and takes it in. Returns when the reading began.
    pub(super) fn edit(&self, manifest: &str) -> anyhow::Result<Moment> {
        let read = Moment::now();
        self.send(Edit::Apply(fixture::object(serde_json::from_str(manifest)?)?, None))?;
        Ok(read)
    }

    /// Takes an edit in.
    pub(super) fn send(&self, edit: Edit) -> anyhow::Result<()> {
        Ok(self.sink.send(Update { edits: vec![edit], ..Update::default() })?)
    }

    /// Removes what a manifest describes.
    pub(super) fn delete(&self, manifest: Value) -> anyhow::Result<()> {
        self.send(Edit::Delete(fixture::object(manifest)?.key(self.source)))
    }

    /// All objects, once all that was sent has been taken in.
    pub(super) fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Ok(self.runtime()?.block_on(self.plane.ask(|world| world.snapshot().clone()))?)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.plane.stop();
        self.stop.take();
        // Clients are told nothing: a measurement that ends is no shutdown in good order.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
