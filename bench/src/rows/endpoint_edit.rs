//! Row b: what one changed endpoint costs, from the edit to the set of connections to write, as the mesh grows.

use super::{
    Measured, RowId,
    edits::Edits,
    staging::{LONG, Stage},
    verdict::sidecars,
};
use anyhow::{Context as _, ensure};
use std::{net::Ipv4Addr, sync::Arc, time::SystemTime};
use tokio::runtime::Runtime;
use tombolo_bench::{
    clock::thread_cpu_time,
    fixture::{self, Mesh},
    generator::Generator,
    report::{Curve, Pairs, Spread, exponent, median},
};
use tombolo_controlplane::{Edit, Update, World};
use tombolo_core::SourceId;
use tombolo_proto::{Scope, envoy::envoy::config::core::v3::Node};
use tombolo_translate::Engine;
use tombolo_xds::{Class, Classify, Classifying, Config, Hub, Peer};

/// Evenly spaced on a logarithmic axis.
const SIZES: [usize; 4] = [1000, 2154, 4642, 10_000];
/// Changes whose median is a size's figure.
const CHANGES: usize = 1000;

pub(super) fn measure() -> anyhow::Result<Measured> {
    let stage = Stage::set()?;
    let runtime = Runtime::new()?;
    let mut sizes =
        SIZES.iter().map(|services| Size::start(*services, &stage, &runtime)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut exponents = Vec::new();
    for round in 0..Pairs::LEAST {
        let mut points = Vec::new();
        for nth in 0..SIZES.len() {
            // Up and down in turn: what gets slower with time does not look like growth.
            let nth = if round % 2 == 0 { nth } else { SIZES.len() - 1 - nth };
            points.push((SIZES[nth] as f64, sizes[nth].changes()?));
        }
        exponents.push(exponent(&points)?.slope);
    }
    let spread = Spread::of(&exponents).context("no exponents")?;
    let one: Vec<(f64, f64)> = sizes.iter().map(Size::point).collect::<anyhow::Result<_>>()?;
    let all = sizes.iter().map(|size| (size.services(), size.all() * 1e6)).collect();
    let figures: Vec<String> = one.iter().map(|(x, y)| format!("{x:.0}: {y:.1} µs")).collect();
    let row = RowId::B.row(
        "one endpoint changed, apply to connections: exponent over 1,000 to 10,000 services",
        spread.median,
        format!("rounds {spread}; {}", figures.join(", ")),
    );
    let curves = [("one endpoint changed", one), ("everything translated", all)];
    let curves = curves.into_iter().map(|(name, points)| Curve { name: name.into(), points }).collect();
    Ok(Measured { rows: vec![row], curves })
}

/// A control plane of some size, put together from its parts so that what [`Hub::publish`] returns can be seen, with one
/// subscriber.
struct Size {
    world: World,
    hub: Hub,
    source: SourceId,
    subscriber: Generator,
    mesh: Mesh,
    edits: Edits,
    times: Vec<f64>,
}

/// Every proxy sees what is public.
struct Public;

impl Classify for Public {
    fn classify<'a>(&'a self, node: &'a Node, _: Option<&'a Peer>) -> Classifying<'a> {
        let class = Class { scopes: [Scope::public()].into(), proxy: Arc::from(&*node.id) };
        Box::pin(std::future::ready(Ok(class)))
    }
}

impl Size {
    fn start(services: usize, stage: &Stage, runtime: &Runtime) -> anyhow::Result<Self> {
        let mesh = Mesh { services, endpoints: 5, namespaces: 1 };
        let (mut world, source, now) = (World::default(), SourceId::new("bench"), SystemTime::now());
        let edits = fixture::objects(mesh.manifests())?.into_iter().map(|object| Edit::Apply(object, None)).collect();
        let (_, changes) = world.update(source, Update { edits, ..Update::default() }, now);
        let hub = Hub::new(Config::default(), Public);
        hub.publish(changes);
        hub.publish(world.learn(sidecars(mesh).collect(), now).1);
        hub.open();
        let listener = runtime.block_on(async { tombolo_xds::listen((Ipv4Addr::LOCALHOST, 0).into()) })?;
        let address = listener.local_addr()?;
        runtime.spawn(tombolo_xds::serve(listener, hub.clone(), std::future::pending()));
        let mut subscriber = stage.generator()?;
        subscriber.connect(address, 1, mesh.namespaces, LONG)?;
        Ok(Self { world, hub, source, subscriber, mesh, edits: Edits::new(mesh), times: Vec::new() })
    }

    /// The median over many changes, in CPU seconds; each reaches the subscriber before the next is made.
    fn changes(&mut self) -> anyhow::Result<f64> {
        let before = self.times.len();
        for _ in 0..CHANGES {
            let edit = self.edits.make();
            let object = fixture::object(serde_json::from_str(&edit.text)?)?;
            let update = Update { edits: vec![Edit::Apply(object, None)], ..Update::default() };
            let now = SystemTime::now();
            let start = thread_cpu_time();
            let (_, changes) = self.world.update(self.source, update, now);
            let publication = self.hub.publish(changes);
            self.times.push((thread_cpu_time() - start).as_secs_f64());
            ensure!(publication.connections.len() == 1, "{} connections to write", publication.connections.len());
            self.subscriber.wait(edit.sequence, LONG)?;
        }
        self.subscriber.arrivals()?;
        median(&self.times[before..]).context("no changes")
    }

    fn services(&self) -> f64 {
        self.mesh.services as f64
    }

    /// Services, and the median of all changes in microseconds.
    fn point(&self) -> anyhow::Result<(f64, f64)> {
        Ok((self.services(), median(&self.times).context("no changes")? * 1e6))
    }

    /// CPU seconds to translate everything: what there is to save.
    fn all(&self) -> f64 {
        let start = thread_cpu_time();
        let translated = Engine::from_scratch(self.world.snapshot(), sidecars(self.mesh));
        let took = thread_cpu_time() - start;
        drop(translated);
        took.as_secs_f64()
    }
}
