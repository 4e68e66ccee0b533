//! Where the parts are put together: one function for each.

use crate::{
    args::Args,
    gateways::{Gateways, Ingress, Place},
    metrics::WatchMetrics,
    observed::Observed,
    status::{StatusMetrics, StatusWriter},
    watch::Cluster,
};
use anyhow::{Context, bail, ensure};
use kube::{Client, Config, config::KubeConfigOptions};
use prometheus_client::registry::Registry;
use std::{fs, path::Path, sync::Arc};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tombolo_api::{Kind, manifest};
use tombolo_controlplane::{
    ControlPlane, Edit, Setup, SystemClock,
    admin::{self, Admin},
};
use tombolo_core::SourceId;
use tombolo_kubernetes::lease::{Lease, LeaseConfig, LeaseTask};
use tombolo_translate::engine::{Fact, Relation};

/// Whoever holds this Lease writes.
const WRITER: &str = "tombolo-writer";

/// Serves until it is told to stop.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::builder()
                .with_default_directive(tracing::Level::INFO.into())
                .from_env_lossy(),
        )
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(Box::pin(serve(args)))
}

async fn serve(args: Args) -> anyhow::Result<()> {
    check(&args)?;
    let client = client(&args).await?;
    let id = SourceId::new(args.cluster.as_str());
    let ingress = Ingress::read(client.clone(), id.clone()).await;
    let (watches, observed) = (WatchMetrics::default(), Arc::new(Observed::default()));
    let source = Cluster {
        id: id.clone(),
        client: client.clone(),
        runtime: Handle::current(),
        fixed: settings(args.settings.as_deref())?,
        observed: observed.clone(),
        metrics: watches.clone(),
    };
    let plane = ControlPlane::start(Setup {
        sources: vec![Box::new(source)],
        facts: ingress.facts().into_iter().chain([(Relation::Provisioned, Fact::Unit)]).collect(),
        store: None,
        xds: tombolo_xds::Config::default(),
        clock: Arc::new(SystemClock),
    })?;
    let mut registry = Registry::default();
    let statuses = StatusMetrics::default();
    watches.register(&mut registry);
    statuses.register(&mut registry);
    let stop = CancellationToken::new();
    let mut servers = JoinSet::new();
    servers.spawn(ingress.follow(plane.clone()));
    let (lease, writer) = lease(&args, client.clone());
    let election = tokio::spawn(lease.run(stop.clone()));
    // Gateways that cannot connect are not deployed: a plaintext port is open to this machine alone.
    if args.plaintext.is_none() {
        let place = Place { namespace: args.namespace.clone(), revision: args.revision.clone() };
        servers.spawn(Gateways::new(client.clone(), plane.clone(), id.clone(), place, writer.clone()).run());
    }
    let status = StatusWriter { plane: plane.clone(), client, observed, cluster: id, metrics: statuses };
    servers.spawn(status.run(writer));
    serve_pages(&args, &plane, registry, &mut servers).await?;
    if let Some(address) = args.plaintext {
        let listener =
            tombolo_xds::listen(address).with_context(|| format!("cannot serve --plaintext on {address}"))?;
        let server = tombolo_xds::serve(listener, plane.hub().clone(), stop.clone().cancelled_owned());
        servers.spawn(server);
    }
    tracing::info!(revision = args.revision, namespace = args.namespace, "watching");
    until_told(&mut servers).await?;
    stop.cancel();
    election.await?;
    plane.stop();
    Ok(())
}

/// Readiness has a port of its own, so that a policy may keep the pages from all but scrapers.
async fn serve_pages(
    args: &Args,
    plane: &ControlPlane,
    registry: Registry,
    servers: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    for (address, registry) in [(args.monitoring, registry), (args.health, Registry::default())] {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let admin = Admin { plane: plane.clone(), identity: None, registry };
        servers.spawn(admin::serve(listener, admin));
    }
    Ok(())
}

/// What one replica alone does, whichever revision it is of.
fn lease(args: &Args, client: Client) -> (LeaseTask, watch::Receiver<bool>) {
    let identity = args.identity.clone().unwrap_or_else(|| format!("discovery-{:08x}", fastrand::u32(..)));
    Lease::new(client, &args.namespace, WRITER, &identity, LeaseConfig::default())
}

/// Refuses what cannot work, before anything is started.
fn check(args: &Args) -> anyhow::Result<()> {
    if let Some(address) = args.plaintext.filter(|address| !address.ip().is_loopback()) {
        bail!(
            "--plaintext {address} is open to other machines, and asks nobody who he is: use 127.0.0.1:{}",
            address.port()
        );
    }
    Ok(())
}

async fn client(args: &Args) -> anyhow::Result<Client> {
    let config = match &args.kubeconfig {
        Some(file) => {
            let file = kube::config::Kubeconfig::read_from(file)
                .with_context(|| format!("--kubeconfig {} cannot be used", file.display()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await.context("there is no API server to ask: name one with --kubeconfig")?,
    };
    Ok(Client::try_from(config)?)
}

/// The settings of this revision, as the one object that is there whatever the cluster says.
fn settings(file: Option<&Path>) -> anyhow::Result<Vec<Edit>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let text = fs::read(file).with_context(|| format!("--settings {} cannot be read", file.display()))?;
    let content = manifest::read(&text, &file.display().to_string());
    let problems: Vec<_> = content.problems.iter().chain(content.decoded.iter().flat_map(|d| &d.problems)).collect();
    if let Some(problem) = problems.iter().find(|problem| problem.is_error()) {
        bail!("--settings {}: {problem}", file.display());
    }
    let objects: Vec<_> = content.decoded.into_iter().filter_map(|decoded| decoded.object).collect();
    ensure!(
        matches!(&*objects, [one] if one.kind() == Kind::MeshInstallation),
        "--settings {} must hold one MeshInstallation and nothing else",
        file.display()
    );
    Ok(objects.into_iter().map(|object| Edit::Apply(object, None)).collect())
}

/// Until a signal comes, or a server ends.
async fn until_told(servers: &mut JoinSet<()>) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        Some(ended) = servers.join_next() => return Ok(ended?),
    }
    tracing::info!("told to stop");
    Ok(())
}
