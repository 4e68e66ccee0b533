//! Where the parts are put together: one function for each.

use crate::{
    admission::{Admission, AdmissionMetrics},
    args::Args,
    gateways::{Gateways, Place, Reached},
    identity::{Publisher, Settings, Start},
    metrics::{Memory, WatchMetrics},
    observed::Observed,
    replicas::{Asking, Replicas},
    status::{RevisionWriter, StatusMetrics, StatusWriter},
    watch::Cluster,
};
use anyhow::{Context, bail};
use kube::Client;
use prometheus_client::registry::Registry;
use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::{net::TcpListener, runtime::Handle, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tombolo_controlplane::{
    ControlPlane, Setup, Source, SystemClock,
    admin::{self, Admin, SharedRegistry},
};
use tombolo_core::SourceId;
use tombolo_kubernetes::{
    lease::{Lease, LeaseConfig, LeaseTask},
    program::{self, Told},
};
use tombolo_process::listenable;
use tombolo_translate::engine::{Fact, Relation};

/// Whoever holds this Lease writes.
const WRITER: &str = "tombolo-writer";

/// Serves until it is told to stop.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    program::log();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(Box::pin(serve(args)));
    // What still watches need not be waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(args: Args) -> anyhow::Result<()> {
    check(&args)?;
    let mut told = Told::new()?;
    let client = program::client(args.kubeconfig.as_deref()).await?;
    serve_until(told.stop(), args, client).await
}

/// Whatever waits for the API server is a task: pages are there from the start, and whoever says to stop is heard.
async fn serve_until(told: impl Future<Output = ()>, args: Args, client: Client) -> anyhow::Result<()> {
    let id = SourceId::new(args.cluster.as_str());
    let (watches, observed) = (WatchMetrics::default(), Arc::new(Observed::default()));
    let (reached, awaited) = Reached::new(client.clone(), id, watches.clone());
    let source = Cluster {
        id,
        client: client.clone(),
        runtime: Handle::current(),
        observed: observed.clone(),
        metrics: watches.clone(),
    };
    let settings = Settings::read(&args, client.clone(), watches.clone())?;
    let plane = start_plane(vec![Box::new(settings), Box::new(awaited), Box::new(source)], known(&args))?;
    let mut registry = Registry::default();
    let statuses = StatusMetrics::default();
    watches.register(&mut registry);
    Memory::register(&mut registry);
    statuses.register(&mut registry);
    let unready = watch::Sender::new(None);
    let (mut pages, mut servers, stop) = (JoinSet::new(), JoinSet::new(), CancellationToken::new());
    serve_webhook(&args, &plane, &mut registry, &mut pages).await?;
    let registry = Arc::new(RwLock::new(registry));
    serve_pages(&args, &plane, registry.clone(), &unready, &mut pages).await?;
    serve_plaintext(&args, &plane, &stop, &mut servers)?;
    pages.spawn(reached.run(plane.clone()));
    let own = args.identity.clone().unwrap_or_else(|| format!("discovery-{:08x}", fastrand::u32(..)));
    let (lease, writer) = lease(&args, &own, client.clone());
    let holder = lease.holder();
    let election = tokio::spawn(stand(lease, args.writes(), plane.clone(), stop.clone()));
    if args.writes() {
        let place = Place { namespace: args.namespace.clone(), revision: args.revision.clone() };
        let gateways = Gateways::new(client.clone(), plane.clone(), id, place, writer.clone(), watches.clone());
        let judged = gateways.judged();
        pages.spawn(gateways.run());
        let (plane, client) = (plane.clone(), client.clone());
        let replicas = Replicas::start(client.clone(), &args.namespace, &own, args.monitoring.port(), &watches);
        let led_by_another = replicas.led_by_another(&args.revision, holder);
        let asking = Asking::new(plane.clone(), replicas);
        let heard = asking.heard();
        pages.spawn(asking.run(writer.clone()));
        let status = StatusWriter { plane, client, observed, cluster: id, judged, heard, metrics: statuses };
        write_statuses(&args, status, led_by_another, &writer, &mut pages);
    }
    let secure = Secure { client, writer, watches, registry, unready: unready.clone(), stop: stop.clone() };
    serve_secure(&args, &plane, secure, &mut servers)?;
    tracing::info!(revision = args.revision, namespace = args.namespace, "watching");
    let mut outcome = tokio::select! {
        () = told => Ok(()),
        Some(ended) = servers.join_next() => ended.map_err(Into::into).flatten(),
        Some(ended) = pages.join_next() => ended.map_err(Into::into),
    };
    // Whatever went wrong, streams are drained and the Lease is given back.
    unready.send_replace(Some("stopping"));
    stop.cancel();
    while let Some(ended) = servers.join_next().await {
        outcome = outcome.and(ended.map_err(Into::into).flatten());
    }
    outcome = outcome.and(election.await.map_err(Into::into));
    plane.stop();
    outcome
}

fn start_plane(sources: Vec<Box<dyn Source>>, facts: Vec<(Relation, Fact)>) -> std::io::Result<ControlPlane> {
    let (xds, clock) = (tombolo_xds::Config::default(), Arc::new(SystemClock));
    ControlPlane::start(Setup { sources, facts, store: None, xds, clock })
}

/// Readiness has a port of its own, and that port nothing else: a policy keeps the pages from all but scrapers.
async fn serve_pages(
    args: &Args,
    plane: &ControlPlane,
    registry: SharedRegistry,
    unready: &watch::Sender<Option<&'static str>>,
    pages: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let (monitoring, health) = (bind(args.monitoring).await?, bind(args.health).await?);
    let admin = Admin { plane: plane.clone(), identity: None, unready: unready.subscribe(), registry };
    pages.spawn(admin::serve(monitoring, admin));
    pages.spawn(admin::serve_readiness(health, plane.clone(), unready.subscribe()));
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listenable(address)).await.with_context(|| format!("cannot listen on {address}"))
}

/// Whether this replica is ready does not depend on it.
async fn serve_webhook(
    args: &Args,
    plane: &ControlPlane,
    registry: &mut Registry,
    pages: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let Some(certificate) = args.webhook_certificate.clone() else { return Ok(()) };
    let metrics = AdmissionMetrics::default();
    metrics.register(registry);
    let (plane, cluster) = (plane.clone(), SourceId::new(args.cluster.as_str()));
    let admission = Admission { address: args.webhook, certificate, plane, cluster, metrics };
    pages.spawn(admission.listen().await?);
    Ok(())
}

/// What is known before anything is served: that somebody sees to Gateways.
fn known(args: &Args) -> Vec<(Relation, Fact)> {
    args.writes().then_some((Relation::Provisioned, Fact::Unit)).into_iter().collect()
}

/// What is said of objects, and of this revision itself.
fn write_statuses(
    args: &Args,
    status: StatusWriter,
    led_by_another: watch::Receiver<bool>,
    writer: &watch::Receiver<bool>,
    pages: &mut JoinSet<()>,
) {
    let (plane, client, metrics) = (status.plane.clone(), status.client.clone(), status.metrics.clone());
    let revision = RevisionWriter { plane, client, revision: args.revision.clone(), led_by_another, metrics };
    pages.spawn(revision.run(writer.clone()));
    pages.spawn(status.run(writer.clone()));
}

/// What one replica alone does, whichever revision it is of.
fn lease(args: &Args, own: &str, client: Client) -> (LeaseTask, watch::Receiver<bool>) {
    Lease::new(client, &args.namespace, WRITER, own, LeaseConfig::default())
}

/// Stands for the Lease, if this replica writes at all: once everything was read, as who has not read it has nothing right to write.
/// Not later, as the root is made by whoever holds it.
async fn stand(lease: LeaseTask, writes: bool, plane: ControlPlane, stop: CancellationToken) {
    if writes && stop.run_until_cancelled(plane.ready()).await.is_some() {
        lease.run(stop).await;
    } else {
        // While the task is there, whoever follows it waits.
        stop.cancelled().await;
    }
}

fn serve_plaintext(
    args: &Args,
    plane: &ControlPlane,
    stop: &CancellationToken,
    servers: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let Some(address) = args.plaintext else { return Ok(()) };
    let listener = tombolo_xds::listen(address).with_context(|| format!("cannot serve --plaintext on {address}"))?;
    let server = tombolo_xds::serve(listener, plane.hub().clone(), stop.clone().cancelled_owned());
    servers.spawn(async {
        server.await;
        Ok(())
    });
    Ok(())
}

/// What the TLS port needs besides.
struct Secure {
    client: Client,
    writer: watch::Receiver<bool>,
    watches: WatchMetrics,
    registry: SharedRegistry,
    unready: watch::Sender<Option<&'static str>>,
    stop: CancellationToken,
}

/// Nobody is let in before there is a root.
fn serve_secure(
    args: &Args,
    plane: &ControlPlane,
    secure: Secure,
    servers: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let Some(address) = args.secure() else { return Ok(()) };
    let Secure { client, writer, watches, registry, unready, stop } = secure;
    unready.send_replace(Some("there is no certificate authority yet"));
    let listener =
        tombolo_xds::listen(listenable(address)).with_context(|| format!("cannot serve agents on {address}"))?;
    let start = Start {
        client: client.clone(),
        namespace: args.namespace.clone(),
        revision: args.revision.clone(),
        names: args.server_name.clone(),
        address,
        writer: writer.clone(),
        watches: watches.clone(),
    };
    let plane = plane.clone();
    servers.spawn(async move {
        let Some(identity) = stop.run_until_cancelled(Box::pin(start.run(&plane))).await else { return Ok(()) };
        let identity = identity.context("certificates cannot be issued")?;
        identity.register(&mut registry.write().unwrap_or_else(PoisonError::into_inner));
        unready.send_replace(None);
        tracing::info!(%address, "agents are served");
        let publisher = Publisher { client, plane: plane.clone(), bundles: identity.bundles(), writer, watches };
        let (hub, stopped) = (plane.hub().clone(), stop.clone().cancelled_owned());
        let server = tombolo_xds::serve_behind(identity.front(), listener, hub, stopped);
        tokio::join!(server, stop.run_until_cancelled(publisher.run()));
        Ok(())
    });
    Ok(())
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

#[cfg(test)]
mod tests;
