//! Keeps one Gateway's Envoy: takes it over or starts it, starts it again when it dies, and drains it at the end.

use super::{
    backoff::Backoff,
    envoy::Envoy,
    process::Process,
    records::{Record, Records},
};
use crate::terminal::{self, Style, paint};
use anyhow::Context;
use serde_json::json;
use std::{
    collections::BTreeSet,
    convert::Infallible,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{process::Command, sync::watch, time};
use tokio_util::sync::CancellationToken;
use tombolo_controlplane::{GATEWAY_LABEL, hash};
use tombolo_core::NamespacedName;
use tombolo_proto::bootstrap::{Bootstrap, Endpoint, Limits};

/// How long an Envoy that was told to end may take, once it is drained.
const END: Duration = Duration::from_secs(5);
/// How often to look whether something has come to pass.
const POLL: Duration = Duration::from_millis(50);
/// Bytes of a log past which it is emptied, and how often to look.
const LONGEST_LOG: u64 = 64 << 20;
const LOG_CHECK: Duration = Duration::from_secs(10);
/// How long listeners may take to come up before that is worth a word.
const UP: Duration = Duration::from_secs(10);

/// What all gateways have in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The program.
    pub(crate) envoy: PathBuf,
    /// Where it finds the control plane.
    pub(crate) xds: SocketAddr,
    /// How long it may take to finish its requests.
    pub(crate) drain: Duration,
}

/// A listener, as it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Its name.
    pub(crate) listener: String,
    /// The port that the Gateway names.
    pub(crate) asked: u16,
    /// Where it is bound.
    pub(crate) bound: SocketAddr,
    /// `http` or `https`
    pub(crate) scheme: &'static str,
    /// The host that it is for; any where absent.
    pub(crate) host: Option<String>,
}

/// Keeps one Gateway's Envoy.
pub(crate) struct Keeper {
    /// The Gateway.
    pub(crate) gateway: NamespacedName,
    /// Where its listeners bind.
    pub(crate) address: IpAddr,
    /// What outlives us.
    pub(crate) records: Arc<Records>,
    /// What all gateways have in common.
    pub(crate) settings: Settings,
    /// Its listeners now.
    pub(crate) listeners: watch::Receiver<Vec<Listening>>,
    /// Cancelled when its Envoy is to stop.
    pub(crate) stop: CancellationToken,
    /// Cancelled before that, when the Gateway is gone for good.
    pub(crate) gone: CancellationToken,
}

impl Keeper {
    /// Keeps it until told to stop, and returns once it has ended.
    pub(crate) async fn run(self) {
        if let Err(error) = self.keep().await {
            self.say_wrong(&format!("{error:#}"));
        }
        let kept = if self.gone.is_cancelled() { self.records.forget(&self.gateway) } else { self.save(None, "") };
        if let Err(error) = kept {
            self.say_wrong(&format!("{error:#}"));
        }
    }

    async fn keep(&self) -> anyhow::Result<()> {
        let envoy = Envoy::at(self.records.socket(&self.gateway)?);
        let announcer = tokio::spawn(announce(self.gateway.clone(), envoy.clone(), self.listeners.clone()));
        let mut backoff = Backoff::default();
        let mut process = self.take_over(&envoy).await?;
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let failure = match process.take().map_or_else(|| self.start(), Ok) {
                Ok(process) => match self.watch_over(process, &envoy).await {
                    Some(failure) => failure,
                    None => break,
                },
                Err(error) => format!("Envoy cannot be started: {error:#}"),
            };
            let wait = backoff.after(began.elapsed());
            self.say_wrong(&format!("{failure}; starting it again in {:.1} s", wait.as_secs_f64()));
            self.stop.run_until_cancelled(time::sleep(wait)).await;
        }
        if let Some(mut process) = process {
            self.end(&mut process, &envoy).await;
        }
        announcer.abort();
        Ok(())
    }

    /// The Envoy of the last run, if it is still the same process, answers, and was started from what we would start one from.
    async fn take_over(&self, envoy: &Envoy) -> anyhow::Result<Option<Process>> {
        let record = self.records.find(&self.gateway)?;
        let adopted = record.and_then(|record| Some((record.process.and_then(Process::adopt)?, record.bootstrap)));
        let Some((mut process, bootstrap)) = adopted else {
            // A run that was killed before it could write down which process it had started.
            while envoy.quit().await.is_ok() {
                time::sleep(POLL).await;
            }
            return Ok(None);
        };
        if bootstrap == hash(&self.bootstrap()?) && envoy.answers().await {
            self.say(&format!("took over Envoy {}", process.identity().pid));
            return Ok(Some(process));
        }
        self.say(&format!("Envoy {} was started otherwise than it would be now: replacing it", process.identity().pid));
        self.end(&mut process, envoy).await;
        Ok(None)
    }

    fn start(&self) -> anyhow::Result<Process> {
        let bootstrap = self.bootstrap()?;
        let path = self.records.save_bootstrap(&self.gateway, &bootstrap)?;
        let log_path = self.records.log(&self.gateway);
        let log = OpenOptions::new().create(true).write(true).truncate(true).open(&log_path);
        let log = log.with_context(|| format!("cannot write {}", log_path.display()))?;
        drop(log);
        // Appending: Envoy opens the access log anew by the name of its standard output.
        let log = OpenOptions::new().append(true).open(&log_path)?;
        let mut command = Command::new(&self.settings.envoy);
        command.arg("--config-path").arg(path).args(["--disable-hot-restart", "--log-level", "warning"]);
        command.arg("--drain-time-s").arg(self.settings.drain.as_secs().max(1).to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = Process::spawn(&mut command).with_context(|| self.settings.envoy.display().to_string())?;
        // One that nobody will find again must not be left.
        self.save(Some(&process), &hash(&bootstrap)).inspect_err(|_| process.kill())?;
        Ok(process)
    }

    fn bootstrap(&self) -> anyhow::Result<Vec<u8>> {
        let NamespacedName { namespace, name } = &self.gateway;
        let labels = json!({GATEWAY_LABEL: &**name});
        let metadata = [
            ("NAMESPACE", json!(&**namespace)),
            ("LABELS", labels),
            ("INSTANCE_IPS", json!(format!("{},::1", self.address))),
        ];
        let bootstrap = Bootstrap {
            node_id: format!("router~{}~{name}.{namespace}~{namespace}.svc.cluster.local", self.address),
            node_cluster: format!("{name}.{namespace}"),
            metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            discovery: Endpoint::Tcp(self.settings.xds),
            sds: None,
            admin: Endpoint::Unix(self.records.socket(&self.gateway)?),
            limits: Limits::default(),
        };
        Ok(serde_json::to_vec_pretty(&bootstrap.to_json())?)
    }

    fn save(&self, process: Option<&Process>, bootstrap: &str) -> anyhow::Result<()> {
        self.records.save(&Record {
            namespace: self.gateway.namespace.to_string(),
            name: self.gateway.name.to_string(),
            address: self.address,
            process: process.map(Process::identity),
            bootstrap: bootstrap.to_owned(),
        })
    }

    /// Waits until it dies, and says how; `None` where it was ended because we are to stop.
    async fn watch_over(&self, mut process: Process, envoy: &Envoy) -> Option<String> {
        let log = self.records.log(&self.gateway);
        tokio::select! {
            never = keep_short(&log) => match never {},
            ending = process.ended() => {
                let last = last_line(&log).map(|line| format!(": {line}")).unwrap_or_default();
                Some(format!("Envoy {} ended with {ending}{last}", process.identity().pid))
            }
            () = self.stop.cancelled() => {
                self.end(&mut process, envoy).await;
                None
            }
        }
    }

    /// Drains, then ends it: asked, and if it does not, killed.
    async fn end(&self, process: &mut Process, envoy: &Envoy) {
        let drained = async {
            envoy.drain().await?;
            while envoy.active_requests().await? > 0 {
                time::sleep(POLL).await;
            }
            anyhow::Ok(())
        };
        // An Envoy that does not answer cannot be drained; it is ended all the same.
        tokio::select! {
            _ = process.ended() => return,
            _ = time::timeout(self.settings.drain, drained) => {}
        }
        process.terminate();
        if time::timeout(END, process.ended()).await.is_err() {
            process.kill();
            process.ended().await;
        }
    }

    fn say(&self, what: &str) {
        terminal::line(&format!("gateway {}: {what}", self.gateway));
    }

    fn say_wrong(&self, what: &str) {
        self.say(&paint(Style::Red, what));
    }
}

/// Prints where a gateway is reached, once it is, and again whenever that changes.
async fn announce(gateway: NamespacedName, envoy: Envoy, mut listeners: watch::Receiver<Vec<Listening>>) {
    let mut said = Vec::new();
    loop {
        let now = listeners.borrow_and_update().clone();
        let new: Vec<_> = now.iter().filter(|listening| !said.contains(*listening)).cloned().collect();
        let waiting: BTreeSet<String> = new.iter().map(|listening| listening.bound.to_string()).collect();
        let up = time::timeout(UP, until_up(&envoy, &waiting)).await.is_ok();
        for listening in &new {
            let at = paint(Style::Bold, &listening.url());
            let note = if up { "" } else { " (does not listen yet: see its problems)" };
            terminal::line(&format!("gateway {gateway}: {at}{}{note}", listening.note()));
        }
        said = now;
        if listeners.changed().await.is_err() {
            return;
        }
    }
}

async fn until_up(envoy: &Envoy, waiting: &BTreeSet<String>) {
    while !envoy.listeners().await.is_ok_and(|up| waiting.iter().all(|address| up.contains(address))) {
        time::sleep(POLL).await;
    }
}

impl Listening {
    fn url(&self) -> String {
        let (address, port) = (self.bound.ip(), self.bound.port());
        match (self.scheme, port) {
            ("http", 80) | ("https", 443) => format!("{}://{address}", self.scheme),
            _ => format!("{}://{}", self.scheme, self.bound),
        }
    }

    fn note(&self) -> String {
        let mut note = format!("  listener {}", self.listener);
        if let Some(host) = &self.host {
            note.push_str(&format!(", host {host}"));
        }
        if self.bound.port() != self.asked {
            note.push_str(&format!(", port {} in the manifest: low ports are for root", self.asked));
        }
        note
    }
}

/// Keeps a log from filling the disk. What is written is appended, so the file may be emptied under the writer.
async fn keep_short(log: &Path) -> Infallible {
    loop {
        time::sleep(LOG_CHECK).await;
        let long = log.metadata().is_ok_and(|metadata| metadata.len() > LONGEST_LOG);
        let emptied = || File::options().write(true).open(log)?.set_len(0);
        if let Some(Err(error)) = long.then(emptied) {
            tracing::warn!(%error, log = %log.display(), "cannot empty a long log");
        }
    }
}

/// The last line of Envoy's own in its log; access log lines are passed over where there are others.
fn last_line(log: &Path) -> Option<String> {
    const TAIL: u64 = 8 << 10;
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let own = |line: &&&str| ["[critical]", "[error]", "[warning]"].iter().any(|level| line.contains(level));
    lines.iter().rev().find(own).or(lines.last()).map(ToString::to_string)
}
