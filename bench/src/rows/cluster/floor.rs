//! The floor: whoever reads the cluster, and hands on finished bytes without looking at what he has read.

use super::{
    super::{
        edits::Edits,
        staging::{LONG, Stage, record},
    },
    api_server::{ApiServer, client},
    peer::{Peer, Program},
    scale::Scale,
};
use anyhow::Context as _;
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use http::Request;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::runtime::Runtime;
use tombolo_bench::{
    clock::Moment,
    floor::Floor,
    generator::{Message, Transcript},
    sequence::Sequence,
};

const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
/// All that the mesh is made of.
const COLLECTIONS: [&str; 3] = ["/api/v1/namespaces", "/api/v1/services", SLICES];
const ALONE: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// What a client was sent by a control plane.
pub(super) struct Recorded {
    start: Transcript,
    change: Message,
}

/// The floor's figures, in seconds: see [`super::round::Round`].
#[derive(Debug, Default)]
pub(super) struct FloorRound {
    pub(super) cold: f64,
    pub(super) alone: Vec<f64>,
}

impl Recorded {
    /// Writes down what ours sends. Nothing is measured: it also makes the API server as warm as it will be.
    pub(super) fn of(stage: &Stage, api: &ApiServer, scale: Scale, edits: &mut Edits) -> anyhow::Result<Self> {
        let mut clients = stage.generator()?;
        let peer = Peer::start(&Program::Discovery, api)?;
        let start = record(&mut clients, |clients| {
            clients.connect(peer.address, 1, scale.mesh.namespaces, LONG)?;
            Ok(())
        })?;
        let change = record(&mut clients, |clients| {
            let edit = edits.make();
            api.runtime.block_on(ApiServer::write(&api.client, &edit))?;
            Ok(clients.wait(edit.sequence, LONG)?)
        })?;
        let change = change.messages.first().cloned().context("the change was no message")?;
        Ok(Self { start, change })
    }

    /// Bytes that a client is sent at first.
    pub(super) fn bytes(&self) -> usize {
        self.start.len()
    }

    /// Measures the floor.
    pub(super) fn measure(
        &self,
        stage: &Stage,
        api: &ApiServer,
        scale: Scale,
        edits: &mut Edits,
    ) -> anyhow::Result<FloorRound> {
        let mut clients = stage.generator()?;
        // On the CPU of control planes, as the calling thread is.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let began = Moment::now();
        let reader = runtime.block_on(async {
            let reader = client(&api.kubeconfig).await?;
            for collection in COLLECTIONS {
                ApiServer::read(&reader, collection).await?;
            }
            anyhow::Ok(reader)
        })?;
        let floor = Arc::new(Floor::start(self.start.clone())?);
        let settled = clients.connect(floor.address(), scale.clients, scale.mesh.namespaces, LONG)?;
        let cold = settled.last_request.since(began).as_secs_f64();
        let next = self.watch(&runtime, reader, floor)?;
        let mut alone = Vec::new();
        for _ in 0..ALONE {
            let edit = edits.make();
            next.store(edit.sequence.get(), Ordering::SeqCst);
            let made = Moment::now();
            api.runtime.block_on(ApiServer::write(&api.client, &edit))?;
            clients.wait(edit.sequence, LONG)?;
            let arrivals = clients.arrivals()?.pop().context("the change has arrived nowhere")?;
            let last = arrivals.last().context("a change has not reached everybody")?;
            alone.push(last.since(made).as_secs_f64());
            thread::sleep(PAUSE);
        }
        Ok(FloorRound { cold, alone })
    }

    /// From now on each event is the change of the number that is set, to every client.
    fn watch(&self, runtime: &Runtime, reader: kube::Client, floor: Arc<Floor>) -> anyhow::Result<Arc<AtomicU32>> {
        let next = Arc::new(AtomicU32::new(0));
        let (number, change) = (next.clone(), self.change.clone());
        let watch = async move {
            let version = ApiServer::version(&reader, SLICES).await?;
            let path = format!("{SLICES}?watch=1&resourceVersion={version}");
            anyhow::Ok(reader.request_stream(Request::get(path).body(Vec::new())?).await?)
        };
        let events = runtime.block_on(watch)?;
        runtime.spawn(async move {
            let mut lines = Box::pin(events).lines();
            while let Ok(Some(_)) = lines.try_next().await {
                let message = change.with_sequence(Sequence::new(number.load(Ordering::SeqCst)));
                floor.burst(&message);
            }
        });
        Ok(next)
    }
}
