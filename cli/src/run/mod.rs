//! `tombolo run`: a control plane over a directory, and an agent with an Envoy for each proxy. Here the parts are put together.

mod addresses;
mod credentials;
mod envoy;
mod find;
mod identity;
mod issuers;
mod keeper;
mod keys;
mod listening;
mod log;
mod proxies;
mod records;
mod report;
mod wanted;

pub(crate) use keys::KeySource;

use crate::{args::RunArgs, terminal};
use addresses::Addresses;
use anyhow::{Context, bail, ensure};
use prometheus_client::registry::Registry;
use proxies::Proxies;
use records::Records;
use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tombolo_controlplane::{
    ControlPlane, Identity, Setup, Source, SystemClock,
    admin::{self, Admin},
    directory::Directory,
};

/// Serves a directory until it is told to stop.
pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(Box::pin(serve(args)))
}

async fn serve(args: RunArgs) -> anyhow::Result<ExitCode> {
    check(&args)?;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let (envoy, agent) = (find::envoy(args.envoy.as_deref())?, find::agent(args.agent.as_deref())?);
    let mut stopping = stop_signals()?;
    let records = Arc::new(Records::open(state_directory(&args)?)?);
    let listener = listen(&args, &records)?;
    let plain = plaintext(&args)?;
    let source = Directory::new(&args.directory).remembering(records.store());
    let source_id = source.id();
    let issuers = issuers::open(&args.tokens).await?;
    let addresses = Addresses::new(source_id, records.all()?);
    let plane = start_plane(source, &addresses, &records)?;
    say_where(&args, listener.local_addr()?, &records);

    let stop = CancellationToken::new();
    let reporter = tokio::spawn(report::run(plane.clone(), plane.subscribe()));
    let (identity, credentials) =
        identity::start(&plane, source_id, &records, listener.local_addr()?, &issuers).await?;
    let servers = serve_xds(listener, plain, &plane, &identity, &stop);
    let admin = serve_admin(&args, &plane, &identity).await?;
    let drain = Duration::from_secs(args.drain);
    let settings = keeper::Settings { agent, envoy, drain, credentials: Arc::new(credentials) };
    let proxies = Proxies::new(plane.clone(), records, addresses, settings);
    proxies.run(async move { stopping.recv().await }).await;

    stop.cancel();
    servers.join_all().await;
    plane.stop();
    reporter.abort();
    admin.iter().for_each(JoinHandle::abort);
    terminal::line("stopped; nothing is left running");
    Ok(ExitCode::SUCCESS)
}

/// Refuses what cannot work, before anything is started.
fn check(args: &RunArgs) -> anyhow::Result<()> {
    ensure!(
        args.directory.is_dir(),
        "{} is not a directory: name the one with your manifests",
        args.directory.display()
    );
    for (flag, address) in [("--xds", args.xds), ("--admin", args.admin)] {
        if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
            bail!(
                "{flag} {address} is open to other machines, and asks nobody who he is: use 127.0.0.1:{}",
                address.port()
            );
        }
    }
    Ok(())
}

/// Every SIGINT, SIGTERM and SIGHUP.
fn stop_signals() -> anyhow::Result<tokio::sync::mpsc::Receiver<()>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(()).await.is_ok() {} });
    }
    Ok(receiver)
}

/// One state directory for each directory of manifests, unless told otherwise.
fn state_directory(args: &RunArgs) -> anyhow::Result<PathBuf> {
    if let Some(state) = &args.state {
        return Ok(state.clone());
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let base = base.context("neither XDG_STATE_HOME nor HOME is set: name a directory with --state")?;
    let directory = args.directory.canonicalize()?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    Ok(base.join("tombolo").join(tombolo_controlplane::slug(&[&name, &directory.display().to_string()])))
}

/// The port of the last run where that is free: agents that outlived it come back there.
fn listen(args: &RunArgs, records: &Records) -> anyhow::Result<TcpListener> {
    let listener = match (args.listen, records.secure_address()) {
        (Some(address), _) => {
            tombolo_xds::listen(address).with_context(|| format!("cannot serve agents on {address}"))?
        }
        (None, Some(last)) => match tombolo_xds::listen(last) {
            Ok(listener) => listener,
            Err(error) => {
                terminal::line(&format!(
                    "cannot serve agents on {last} as before ({error}): those that still run are replaced"
                ));
                any_port()?
            }
        },
        (None, None) => any_port()?,
    };
    records.save_secure_address(listener.local_addr()?)?;
    Ok(listener)
}

fn any_port() -> anyhow::Result<TcpListener> {
    tombolo_xds::listen(SocketAddr::from(([127, 0, 0, 1], 0))).context("cannot serve agents on any port of 127.0.0.1")
}

fn plaintext(args: &RunArgs) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = args.xds else { return Ok(None) };
    let listener = tombolo_xds::listen(address).with_context(|| format!("cannot serve --xds on {address}"))?;
    terminal::line(&format!(
        "xDS in plaintext on {}: every user of this machine may read keys there",
        listener.local_addr()?
    ));
    Ok(Some(listener))
}

fn start_plane(source: Directory, addresses: &Addresses, records: &Records) -> anyhow::Result<ControlPlane> {
    let setup = Setup {
        sources: vec![Box::new(source)],
        facts: addresses.facts(),
        store: Some(records.store()),
        xds: tombolo_xds::Config::default(),
        clock: Arc::new(SystemClock),
    };
    Ok(ControlPlane::start(setup)?)
}

fn say_where(args: &RunArgs, agents: SocketAddr, records: &Records) {
    let version = env!("CARGO_PKG_VERSION");
    terminal::line(&format!("tombolo {version} serves {}; agents on {agents}", args.directory.display()));
    terminal::line(&format!("state and logs are in {}", records.root().display()));
}

fn serve_xds(
    listener: TcpListener,
    plain: Option<TcpListener>,
    plane: &ControlPlane,
    identity: &Identity,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut servers = JoinSet::new();
    let stopped = stop.clone().cancelled_owned();
    servers.spawn(tombolo_xds::serve_behind(identity.front(), listener, plane.hub().clone(), stopped));
    if let Some(plain) = plain {
        servers.spawn(tombolo_xds::serve(plain, plane.hub().clone(), stop.clone().cancelled_owned()));
    }
    servers
}

async fn serve_admin(
    args: &RunArgs,
    plane: &ControlPlane,
    identity: &Identity,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(address) = args.admin else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot serve --admin on {address}"))?;
    terminal::line(&format!("admin on http://{}", listener.local_addr()?));
    let mut registry = Registry::default();
    identity.register(&mut registry);
    let (unready, registry) = (watch::channel(None).1, Arc::new(RwLock::new(registry)));
    let admin = Admin { plane: plane.clone(), identity: Some(identity.clone()), unready, registry };
    Ok(Some(tokio::spawn(admin::serve(listener, admin))))
}
