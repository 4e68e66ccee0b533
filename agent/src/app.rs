//! `tombolo-agent run`: here the parts are put together, one function for each.

use crate::{
    args::RunArgs,
    supervisor::Supervisor,
    wiring::{self, Identified},
};
use anyhow::Context;
use prometheus_client::registry::Registry;
use serde_json::json;
use std::{
    io::{self, IsTerminal},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::{interval, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tombolo_agent::{
    admin::{self, Admin},
    config::Config,
    dns::Dns,
    envoy::{self, Client, Control, Keeper, Log, Paths, Settings},
    health::{self, Memory, Prober, Report},
    identity::sds::Verdicts,
    state::StateDir,
    stream,
};
use tombolo_process::listenable;
use tombolo_proto::bootstrap::{Bootstrap, Limits};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// A supervisor is told that the agent has started when the proxy is ready, but after this long in any case: what waits for the agent
/// must not wait for a control plane that is away.
const STARTED: Duration = Duration::from_secs(30);
/// How often to look for the file of `--drain-on`.
const LOOK: Duration = Duration::from_secs(1);

/// How it is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Drain Envoy, and end it.
    Both,
    /// Leave Envoy to the next agent.
    AgentAlone,
}

/// Runs until told to end.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    log();
    let (config, warnings) = Config::load(&args.flags)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // One thread: an agent sits beside every workload, and most of the time it waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Box::pin(serve(args, config)))
}

/// To standard error. `RUST_LOG` holds targets and levels, as in `warn,tombolo_agent::dns=debug`; what it does not say is `info`. Fields of
/// spans cannot be asked for: it would take a regular-expression engine, beside every workload.
fn log() {
    let said = std::env::var("RUST_LOG").unwrap_or_default();
    let targets: Targets = said.parse().unwrap_or_default();
    let targets = if targets.default_level().is_none() { targets.with_default(LevelFilter::INFO) } else { targets };
    let lines = tracing_subscriber::fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}

async fn serve(args: &RunArgs, config: Config) -> anyhow::Result<()> {
    let mut endings = endings(args.keep_envoy)?;
    let supervisor = Supervisor::from_environment();
    let state = wiring::state(&config).await?;
    let paths = Paths::new(state.root())?;
    let listener = TcpListener::bind(listenable(config.admin)).await;
    let listener = listener.with_context(|| format!("cannot serve --admin on {}", config.admin))?;
    let quit = CancellationToken::new();
    introduce(&state, listener.local_addr()?)?;

    let identified = wiring::identify(&config, &paths, state.clone()).await?;
    let dns = wiring::names(&config).await?;
    let (keeper, control) = Keeper::new(settings(&config, &paths, &identified));
    let client = Client::at(paths.admin());
    let reasons = start_readiness(&client, &control, wiring::reasons(&identified));
    let health = start_health(&config, &paths, reasons.clone());
    let stream = wiring::relay(&config, &paths, &state, identified.upstreams.clone(), dns.clone(), health.clone())?;
    let kept = tokio::spawn(keeper.run());
    let parts = Parts { identified, dns, stream, health };
    let admin = Admin {
        reasons: reasons.clone(),
        registry: registry(&control, reasons.clone(), &parts),
        envoy: client,
        control: control.clone(),
        debug: debug(config, parts),
        quit: quit.clone(),
    };
    let _admin = AbortOnDropHandle::new(tokio::spawn(admin::serve(listener, admin)));
    let _drain =
        args.drain_on.clone().map(|file| AbortOnDropHandle::new(tokio::spawn(drain_on(file, control.clone()))));

    let ending = tokio::select! {
        ending = endings.recv() => ending.unwrap_or(Ending::Both),
        () = quit.cancelled() => Ending::Both,
        never = tell(&supervisor, reasons) => match never {},
    };
    supervisor.stopping();
    finish(ending, &control, &mut endings).await;
    kept.await.context("what kept Envoy has failed")
}

/// Says in the state directory which process has it, and where its pages are: for whoever keeps agents.
fn introduce(state: &StateDir, admin: SocketAddr) -> anyhow::Result<()> {
    let process = envoy::Identity::own().context("this system does not tell of its processes: is /proc mounted?")?;
    Ok(state.write("agent.json", json!({"process": process, "admin": admin}).to_string().as_bytes())?)
}

/// Ends as told; a second time at once.
async fn finish(ending: Ending, control: &Control, endings: &mut mpsc::Receiver<Ending>) {
    match ending {
        Ending::AgentAlone => control.leave().await,
        Ending::Both => tokio::select! {
            () = control.end() => {}
            Some(Ending::Both) = endings.recv() => control.kill().await,
        },
    }
}

/// SIGTERM, SIGINT and SIGUSR1, as they come.
fn endings(keep_envoy: bool) -> anyhow::Result<mpsc::Receiver<Ending>> {
    let (sender, receiver) = mpsc::channel(4);
    let told = if keep_envoy { Ending::AgentAlone } else { Ending::Both };
    let kinds = [
        (SignalKind::terminate(), told),
        (SignalKind::interrupt(), told),
        (SignalKind::user_defined1(), Ending::AgentAlone),
    ];
    for (kind, ending) in kinds {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(ending).await.is_ok() {} });
    }
    Ok(receiver)
}

fn settings(config: &Config, paths: &Paths, identified: &Identified) -> Settings {
    let bootstrap = envoy::bootstrap(&config.node(), paths, Limits::default());
    let bootstrap = Bootstrap { sds: Some(identified.sds.clone()), ..bootstrap };
    Settings {
        program: config.envoy.program.clone(),
        paths: paths.clone(),
        bootstrap: bootstrap.to_json(),
        drain: config.envoy.drain,
        log: if config.envoy.log_file { Log::File(paths.log()) } else { Log::Inherit },
        log_level: config.envoy.log_level.clone(),
        concurrency: config.envoy.concurrency,
    }
}

fn start_readiness(
    client: &Client,
    control: &Control,
    certificate: watch::Receiver<Vec<String>>,
) -> watch::Receiver<Vec<String>> {
    let (sender, reasons) = watch::channel(vec!["the agent has just started".to_owned()]);
    tokio::spawn(envoy::readiness(client.clone(), control.status(), certificate, sender));
    reasons
}

/// Probes the workload on loopback, where it is asked to.
fn start_health(
    config: &Config,
    paths: &Paths,
    reasons: watch::Receiver<Vec<String>>,
) -> Option<watch::Receiver<Report>> {
    let local = IpAddr::from(Ipv4Addr::LOCALHOST);
    let (prober, reports) = Prober::new(config.probe.clone()?, local, Memory::new(paths.directory()));
    tokio::spawn(prober.run(reasons));
    Some(reports)
}

/// What is measured and shown.
struct Parts {
    identified: Identified,
    dns: Option<Arc<Dns>>,
    stream: stream::Handle,
    health: Option<watch::Receiver<Report>>,
}

fn registry(control: &Control, reasons: watch::Receiver<Vec<String>>, parts: &Parts) -> Registry {
    let mut registry = Registry::default();
    envoy::register(control.status(), reasons, &mut registry);
    parts.identified.handle.register(parts.identified.current.clone(), &mut registry);
    if let Some(verdicts) = &parts.identified.verdicts {
        verdicts.register(&mut registry);
    }
    parts.stream.register(&mut registry);
    if let Some(dns) = &parts.dns {
        dns.register(&mut registry);
    }
    if let Some(report) = &parts.health {
        health::register(report.clone(), &mut registry);
    }
    registry
}

fn debug(config: Config, parts: Parts) -> Vec<(&'static str, admin::Debug)> {
    let Parts { identified, dns, stream, health } = parts;
    let certificate = move || {
        let material = identified.current.get();
        let rejected: Vec<_> = identified.verdicts.iter().flat_map(Verdicts::reasons).collect();
        let reasons = identified.handle.health.borrow().reasons();
        json!({
            "id": material.as_ref().map(|material| material.id().to_string()),
            "expires": material.map(|material| seconds(material.not_after())),
            "socket": identified.sds,
            "reasons": reasons,
            "rejected": rejected,
        })
    };
    vec![
        ("config", Box::new(move || json!(config))),
        ("identity", Box::new(certificate)),
        ("stream", Box::new(move || json!(stream.status()))),
        ("dns", Box::new(move || json!(dns.as_ref().map(|dns| dns.status())))),
        ("health", Box::new(move || json!(health.as_ref().map(|report| report.borrow().clone())))),
    ]
}

/// Since the epoch.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Tells the supervisor when the agent has started, and why the proxy is not ready.
async fn tell(supervisor: &Supervisor, mut reasons: watch::Receiver<Vec<String>>) -> std::convert::Infallible {
    let mut started = std::pin::pin!(sleep(STARTED));
    let mut said = false;
    loop {
        let now = reasons.borrow_and_update().clone();
        let line = if now.is_empty() { "ready".to_owned() } else { format!("not ready: {}", now.join("; ")) };
        supervisor.status(&line);
        if !said && (now.is_empty() || started.is_elapsed()) {
            supervisor.ready();
            said = true;
        }
        tokio::select! {
            Ok(()) = reasons.changed() => {}
            () = &mut started, if !said => {}
            else => std::future::pending().await,
        }
    }
}

/// Drains once the file exists.
async fn drain_on(file: PathBuf, control: Control) {
    let mut looks = interval(LOOK);
    while !file.exists() {
        looks.tick().await;
    }
    tracing::info!(file = %file.display(), "draining, as this file exists");
    control.drain().await;
}
