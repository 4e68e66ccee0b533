//! How the parts of the agent are put together around Envoy: identity, config, names. One function for each.

use anyhow::Context;
use prost::Message;
use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tombolo_agent::{
    config::{Address, Config},
    dns::{self, Dns, Resolv, Scope, Sockets},
    envoy::Paths,
    health,
    identity::{
        self, Clock, Current, Failure, Identity, Proof, Provided, Publisher, Source,
        sds::{SdsServer, Verdicts},
    },
    state::StateDir,
    stream::{
        self, Cache, ConfigStream, Dial, Item, Report, Request, Response, Settings, Sink, Subscription, UpstreamError,
    },
    upstream::{self, Upstream},
};
use tombolo_proto::agent::{CertificateRequest, CertificateResponse, DELTA_ADS, NAME, NAME_TABLE, NameInfo, NameTable};

/// How long the agent before may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests that may wait to be written, and responses that are read ahead.
const REQUESTS: usize = 1024;
const RESPONSES: usize = 4;

/// The state directory, ours alone from now on.
pub(crate) async fn state(config: &Config) -> anyhow::Result<Arc<StateDir>> {
    let state = StateDir::open(&config.state_dir, PATIENCE).await;
    Ok(Arc::new(state.context("the state directory cannot be used: name another one with --state-dir")?))
}

/// A running identity.
pub(crate) struct Identified {
    /// The newest certificate.
    pub(crate) current: Current,
    /// How it stands.
    pub(crate) handle: identity::Handle,
    /// The socket where Envoy asks for it.
    pub(crate) sds: PathBuf,
    /// What Envoy says of it, where the agent serves it.
    pub(crate) verdicts: Option<Verdicts>,
    /// The ways to the control plane.
    pub(crate) upstreams: Upstreams,
}

/// Finds out where the identity comes from, keeps it current, and serves it to Envoy.
pub(crate) async fn identify(config: &Config, paths: &Paths, state: Arc<StateDir>) -> anyhow::Result<Identified> {
    let clock: Clock = Arc::new(SystemTime::now);
    let (publisher, current) = identity::channel();
    let ways = |addresses: &[Address]| Upstreams::new(config, addresses, &current, &clock);
    let (upstreams, ca) = (ways(&config.discovery)?, ways(&config.ca())?);
    let source = Source::find(Path::new("")).await.context("the working directory cannot be used")?;
    tracing::info!(?source, "where the identity comes from");
    let handle = match source {
        Source::Socket(sds) => {
            let handle = identity::Handle::elsewhere(clock);
            return Ok(Identified { current, handle, sds, verdicts: None, upstreams });
        }
        Source::Files(directory) => {
            let (provided, handle) = Provided::new(directory, config.identity.spiffe.clone(), clock, publisher);
            tokio::spawn(provided.run());
            handle
        }
        Source::ControlPlane => obtain(config, ca, state, clock, publisher)?,
    };
    let sds = paths.sds();
    let server = SdsServer::bind(&sds).await?;
    let verdicts = Some(server.verdicts());
    tokio::spawn(server.serve(current.clone()));
    for upstream in upstreams.each.iter() {
        let (upstream, renewals) = (upstream.clone(), handle.clone());
        tokio::spawn(async move {
            loop {
                upstream.refused().await;
                renewals.renew_now();
            }
        });
    }
    Ok(Identified { current, handle, sds, verdicts, upstreams })
}

/// Gets certificates from the control plane.
fn obtain(
    config: &Config,
    ca: Upstreams,
    state: Arc<StateDir>,
    clock: Clock,
    publisher: Publisher,
) -> anyhow::Result<identity::Handle> {
    let instance = match &config.identity.instance {
        Some(instance) => instance.clone(),
        None => identity::instance_id(&state)?,
    };
    let wanted = identity::Config {
        lifetime: config.secret_ttl,
        output: config.output_certs.clone(),
        provisioned: config.provided_certs.clone(),
        ..identity::Config::new(config.identity.spiffe.clone(), instance)
    };
    let (identity, handle) = Identity::new(wanted, ca, state, clock, publisher);
    tokio::spawn(identity.run());
    Ok(handle)
}

/// Control planes that are tried in turn. Clones take turns together.
#[derive(Clone)]
pub(crate) struct Upstreams {
    each: Arc<[Arc<Upstream>]>,
    turn: Arc<AtomicUsize>,
}

impl Upstreams {
    fn new(config: &Config, addresses: &[Address], current: &Current, clock: &Clock) -> anyhow::Result<Self> {
        anyhow::ensure!(!addresses.is_empty(), "no control plane is named: name one with --discovery");
        let upstream = |address: &Address| {
            Ok(Arc::new(Upstream::new(way(config, address.to_string()), current.clone(), clock.clone())?))
        };
        let each = addresses.iter().map(upstream).collect::<anyhow::Result<_>>()?;
        Ok(Self { each, turn: Arc::default() })
    }

    /// The one whose turn it is. Who fails comes back, after a pause, to the next.
    fn next(&self) -> &Upstream {
        &self.each[self.turn.fetch_add(1, Ordering::Relaxed) % self.each.len()]
    }
}

impl identity::Authority for Upstreams {
    async fn certify(&self, request: CertificateRequest, proof: Proof) -> Result<CertificateResponse, Failure> {
        self.next().certify(request, proof).await
    }
}

fn way(config: &Config, address: String) -> upstream::Config {
    upstream::Config {
        address,
        server_name: config.discovery_name.clone(),
        roots: config.root_cert.clone(),
        token: Some(config.token.clone()),
        cluster: None,
    }
}

/// Why the identity keeps the proxy from being ready: there is none that lasts, or Envoy does not take it.
pub(crate) fn reasons(identified: &Identified) -> watch::Receiver<Vec<String>> {
    let (mut health, verdicts) = (identified.handle.health.clone(), identified.verdicts.clone());
    let (sender, reasons) = watch::channel(health.borrow_and_update().reasons());
    tokio::spawn(async move {
        let mut rejected = verdicts.as_ref().map(Verdicts::watch);
        loop {
            tokio::select! {
                Ok(()) = health.changed() => {}
                Some(Ok(())) = async { Some(rejected.as_mut()?.changed().await) } => {}
                else => return,
            }
            let of_envoy = verdicts.iter().flat_map(Verdicts::reasons);
            sender.send_replace(health.borrow().reasons().into_iter().chain(of_envoy).collect());
        }
    });
    reasons
}

/// Answers DNS, where that is wanted.
pub(crate) async fn names(config: &Config) -> anyhow::Result<Option<Arc<Dns>>> {
    if !config.dns.enabled {
        return Ok(None);
    }
    let resolv = Resolv::read(&config.dns.resolv_conf).unwrap_or_else(|error| {
        tracing::warn!("names that are not the mesh's cannot be looked up: {error}");
        Resolv { file: Some(config.dns.resolv_conf.clone()), ..Resolv::parse(b"") }
    });
    let namespace = &config.identity.spiffe.namespace;
    let scope = Scope::new(namespace, &config.node.domain, resolv.search.iter().map(AsRef::as_ref));
    let sockets = Sockets::bind(config.dns.address).await?;
    let dns = Dns::new(dns::Config::new(scope, resolv), sockets.address()?);
    tokio::spawn(dns::serve(dns.clone(), sockets, std::future::pending()));
    Ok(Some(dns))
}

/// Relays config between Envoy and the control plane, and keeps what Envoy accepted.
pub(crate) fn relay(
    config: &Config,
    paths: &Paths,
    state: &StateDir,
    upstreams: Upstreams,
    dns: Option<Arc<Dns>>,
    health: Option<watch::Receiver<health::Report>>,
) -> anyhow::Result<stream::Handle> {
    let node = config.node();
    let settings = Settings {
        socket: paths.xds(),
        cache: Some(Cache {
            directory: state.root().to_owned(),
            // Not the node's id: an address may change.
            owner: format!("{} {} {}", config.identity.spiffe, node.kind, node.name),
            memory_backed: state.memory_backed(),
        }),
        node: node.introduction(),
        limits: stream::Limits::default(),
        timing: stream::Timing::default(),
    };
    let own = dns.map(|dns| match config.dns.whole_table {
        true => Subscription { type_url: NAME_TABLE.into(), names: Vec::new(), sink: Box::new(WholeTable(dns)) },
        false => Subscription { type_url: NAME.into(), names: vec!["*".to_owned()], sink: Box::new(Names(dns)) },
    });
    let stream = ConfigStream::new(settings, own.into_iter().collect(), reports(health));
    let (stream, handle) = stream.context("the config stream cannot be opened")?;
    tokio::spawn(stream.run(Arc::new(upstreams)));
    Ok(handle)
}

/// Health reports as the config stream has them.
fn reports(health: Option<watch::Receiver<health::Report>>) -> watch::Receiver<Option<Report>> {
    let (sender, reports) = watch::channel(None);
    let Some(mut health) = health else { return reports };
    tokio::spawn(async move {
        loop {
            let health::Report { healthy, sequence } = health.borrow_and_update().clone();
            // Before the first verdict there is nothing to report.
            sender.send_replace((sequence > 0).then_some(Report { sequence, healthy }));
            if health.changed().await.is_err() {
                return;
            }
        }
    });
    reports
}

/// Names of the mesh, for DNS.
struct Names(Arc<Dns>);

impl Sink for Names {
    fn apply(&mut self, added: Vec<Item>, removed: Vec<String>) -> Result<(), String> {
        let read =
            |item: &Item| NameInfo::decode(item.value.clone()).map_err(|error| format!("{}: {error}", item.name));
        // All of them or none: what is refused changes nothing.
        let infos = added.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        added.iter().zip(&infos).for_each(|(item, info)| self.0.apply(&item.name, Some(info)));
        removed.iter().for_each(|name| self.0.apply(name, None));
        Ok(())
    }
}

/// Names of the mesh as one table: Istio's control planes send all of it when one of them changes.
struct WholeTable(Arc<Dns>);

impl Sink for WholeTable {
    fn apply(&mut self, added: Vec<Item>, _: Vec<String>) -> Result<(), String> {
        let Some(item) = added.last() else { return Ok(()) };
        self.0.replace(&NameTable::decode(item.value.clone()).map_err(|error| format!("{}: {error}", item.name))?);
        Ok(())
    }
}

impl Dial for Upstreams {
    fn dial(&self) -> Pin<Box<dyn Future<Output = Result<stream::Upstream, UpstreamError>> + Send + '_>> {
        Box::pin(async {
            let connection = self.next().connect().await.map_err(|e| UpstreamError::Unreachable(e.to_string()))?;
            let (requests, outgoing) = mpsc::channel::<Request>(REQUESTS);
            let (incoming, responses) = mpsc::channel(RESPONSES);
            let answers = connection.stream::<_, Request, Response>(DELTA_ADS, ReceiverStream::new(outgoing));
            tokio::spawn(async move {
                tokio::select! {
                    () = incoming.closed() => {}
                    () = read(answers, &incoming) => {}
                }
                drop(connection);
            });
            Ok(stream::Upstream { requests, responses })
        })
    }
}

/// Passes responses on until the stream ends, which is an error whatever its status.
async fn read(mut answers: upstream::Responses<Response>, incoming: &mpsc::Sender<Result<Response, UpstreamError>>) {
    let ending = loop {
        match answers.message().await {
            Ok(Some(response)) => {
                if incoming.send(Ok(response)).await.is_err() {
                    return;
                }
            }
            Ok(None) => break UpstreamError::Status { code: 0, message: String::new() },
            Err(status) => {
                let code = u16::try_from(i32::from(status.code())).unwrap_or_default();
                break UpstreamError::Status { code, message: status.message().to_owned() };
            }
        }
    };
    _ = incoming.send(Err(ending)).await; // nobody may listen any more
}
