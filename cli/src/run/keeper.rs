//! Keeps one proxy's agent: takes it over or starts it, starts it again when it dies, and ends it with its Envoy.

use super::{
    credentials::Credentials,
    envoy::Envoy,
    listening::{Listening, announce},
    log,
    records::{ProxyName, Record, Records},
};
use crate::terminal::{self, Style, paint};
use anyhow::Context;
use serde_json::json;
use std::{
    ffi::OsString,
    fs::OpenOptions,
    net::IpAddr,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{process::Command, sync::watch, time};
use tokio_util::sync::CancellationToken;
use tombolo_api::istio::ReadinessProbe;
use tombolo_controlplane::{FileStore, Store as _, hash};
use tombolo_core::{ProxyKind, with_causes};
use tombolo_process::{Backoff, Process};
use tombolo_translate::gateway_api::GATEWAY_LABEL;

/// How long an agent may take to end, once its Envoy is drained.
const END: Duration = Duration::from_secs(10);
/// The port of an agent's pages, at its workload's own address.
const ADMIN: u16 = 15020;
/// The port at which an agent answers DNS, at its workload's own address.
const DNS: u16 = 15053;
const LOG: &str = "agent.log";
/// What an agent is told that is not for its command line, in its state directory.
const CONFIG: &str = "config.yaml";

/// What all proxies have in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The agent's program.
    pub(crate) agent: PathBuf,
    /// Envoy's program.
    pub(crate) envoy: PathBuf,
    /// How long an Envoy may take to finish its requests.
    pub(crate) drain: Duration,
    /// What agents prove themselves by, and where.
    pub(crate) credentials: Arc<Credentials>,
}

/// Keeps one proxy's agent.
pub(crate) struct Keeper {
    /// The proxy.
    pub(crate) proxy: ProxyName,
    /// Whose identity it has.
    pub(crate) service_account: String,
    /// How its agent probes its workload.
    pub(crate) probe: Option<Arc<ReadinessProbe>>,
    /// Where its listeners bind.
    pub(crate) address: IpAddr,
    /// What outlives us.
    pub(crate) records: Arc<Records>,
    /// What all proxies have in common.
    pub(crate) settings: Settings,
    /// Its listeners now.
    pub(crate) listeners: watch::Receiver<Vec<Listening>>,
    /// Cancelled when it is to stop.
    pub(crate) stop: CancellationToken,
    /// Cancelled before that, when the proxy is gone for good.
    pub(crate) gone: CancellationToken,
}

impl Keeper {
    /// Keeps it until told to stop, and returns once it has ended.
    pub(crate) async fn run(self) {
        if let Err(error) = self.keep().await {
            self.say_wrong(&with_causes(error.as_ref()));
        }
        let kept = if self.gone.is_cancelled() { self.records.forget(&self.proxy) } else { self.save(None) };
        if let Err(error) = kept {
            self.say_wrong(&with_causes(error.as_ref()));
        }
    }

    async fn keep(&self) -> anyhow::Result<()> {
        let state = self.records.agent(&self.proxy)?;
        let envoy = Envoy::at(state.root().join("envoy-admin.sock"));
        let announcer = tokio::spawn(announce(self.proxy.to_string(), envoy.clone(), self.listeners.clone()));
        let mut backoff = Backoff::default();
        let mut process = self.take_over(&envoy).await?;
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let failure = match process.take().map_or_else(|| self.start(&state), Ok) {
                Ok(process) => match self.watch_over(process, &state, &envoy).await {
                    Some(failure) => failure,
                    None => break,
                },
                Err(error) => format!("its agent cannot be started: {}", with_causes(error.as_ref())),
            };
            let wait = backoff.wait_after(began.elapsed());
            self.say_wrong(&format!("{failure}; starting it again in {:.1} s", wait.as_secs_f64()));
            self.stop.run_until_cancelled(time::sleep(wait)).await;
        }
        if let Some(mut process) = process {
            self.end(&mut process, &envoy).await;
        }
        announcer.abort();
        Ok(())
    }

    /// The agent of the last run, if it is still the same process, and was told what we would tell one.
    async fn take_over(&self, envoy: &Envoy) -> anyhow::Result<Option<Process>> {
        let record = self.records.find(&self.proxy)?;
        let recorded = record.and_then(|record| Some((record.process.and_then(Process::adopt)?, record.told)));
        // A run that was killed before it could write down which process it had started: the agent did that too.
        let unrecorded = || Some((Process::adopt(self.records.introduced(&self.proxy)?)?, String::new()));
        let Some((mut process, told)) = recorded.or_else(unrecorded) else { return Ok(None) };
        let pid = process.identity().pid;
        if told == self.told()? {
            // The mesh may have another root by now, and its certificate may be over.
            self.settings.credentials.give(&self.proxy, &self.service_account, &self.records.agent(&self.proxy)?)?;
            self.say(&format!("took over agent {pid}"));
            return Ok(Some(process));
        }
        self.say(&format!("agent {pid} was told otherwise than it would be now: replacing it"));
        self.end(&mut process, envoy).await;
        Ok(None)
    }

    fn start(&self, state: &FileStore) -> anyhow::Result<Process> {
        self.settings.credentials.give(&self.proxy, &self.service_account, state)?;
        if let Some(config) = self.config() {
            state.write(CONFIG, config.as_bytes())?;
        }
        let path = state.root().join(LOG);
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = Command::new(&self.settings.agent);
        command.args(self.arguments()?).env_clear().envs(kept_environment());
        // Nothing captures connections here: each proxy has an address of its own.
        command.env("ISTIO_META_INTERCEPTION_MODE", "NONE");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = Process::spawn(&mut command).with_context(|| self.settings.agent.display().to_string())?;
        // One that nobody will find again must not be left.
        self.save(Some(&process)).inspect_err(|_| process.kill())?;
        Ok(process)
    }

    /// All that the agent is told. Nothing secret: that is in files.
    fn arguments(&self) -> anyhow::Result<Vec<OsString>> {
        let state = self.records.agent(&self.proxy)?;
        let state = state.root();
        let address = self.address.to_string();
        let name = &self.proxy.name;
        let mut arguments: Vec<OsString> = vec!["run".into()];
        let mut flag = |name: &str, value: OsString| {
            arguments.push(format!("--{name}").into());
            arguments.push(value);
        };
        flag("state-dir", state.into());
        flag("discovery", self.settings.credentials.address().to_string().into());
        flag("root-cert", state.join(Credentials::ROOTS).into());
        flag("token", state.join(Credentials::TOKEN).into());
        flag("trust-domain", self.settings.credentials.trust_domain().to_string().into());
        flag("namespace", (*name.namespace).into());
        flag("name", (*name.name).into());
        flag("service-account", self.service_account.clone().into());
        flag("address", address.into());
        flag("envoy", self.settings.envoy.clone().into());
        flag("drain", format!("{}s", self.settings.drain.as_secs()).into());
        if self.probe.is_some() {
            flag("config", state.join(CONFIG).into());
        }
        match self.proxy.kind {
            ProxyKind::Gateway => {
                // Gateways of several runs may have one address: any free port.
                flag("admin", format!("{}:0", self.host()).into());
                flag("kind", "router".into());
                flag("label", format!("{GATEWAY_LABEL}={}", name.name).into());
            }
            ProxyKind::Sidecar => {
                flag("admin", format!("{}:{ADMIN}", self.host()).into());
                flag("dns", "true".into());
                flag("dns-address", format!("{}:{DNS}", self.host()).into());
                flag("kind", "sidecar".into());
            }
        }
        arguments.push("--envoy-log-file".into());
        Ok(arguments)
    }

    /// The agent's config file, as Istio writes it for machines. JSON, which is YAML.
    fn config(&self) -> Option<String> {
        Some(json!({"defaultConfig": {"readinessProbe": self.probe.as_deref()?}}).to_string())
    }

    fn host(&self) -> String {
        match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        }
    }

    fn told(&self) -> anyhow::Result<String> {
        let mut told = self.settings.agent.clone().into_os_string();
        for argument in self.arguments()?.into_iter().chain(self.config().map(OsString::from)) {
            told.push("\n");
            told.push(argument);
        }
        Ok(hash(told.as_encoded_bytes()))
    }

    fn save(&self, process: Option<&Process>) -> anyhow::Result<()> {
        self.records.save(&Record {
            gateway: self.proxy.kind == ProxyKind::Gateway,
            namespace: self.proxy.name.namespace.to_string(),
            name: self.proxy.name.name.to_string(),
            address: self.address,
            process: process.map(Process::identity),
            told: self.told()?,
        })
    }

    /// Waits until it dies, and says how; `None` where it was ended because we are to stop.
    async fn watch_over(&self, mut process: Process, state: &FileStore, envoy: &Envoy) -> Option<String> {
        let path = state.root().join(LOG);
        tokio::select! {
            never = log::keep_short(&path) => match never {},
            ending = process.ended() => {
                let last = log::last_line(&path).map(|line| format!(": {line}")).unwrap_or_default();
                Some(format!("agent {} ended with {ending}{last}", process.identity().pid))
            }
            () = self.stop.cancelled() => {
                self.end(&mut process, envoy).await;
                None
            }
        }
    }

    /// The agent drains and ends its Envoy, and then itself. One that does not is killed, and its Envoy ended.
    async fn end(&self, process: &mut Process, envoy: &Envoy) {
        process.terminate();
        if time::timeout(self.settings.drain + END, process.ended()).await.is_err() {
            process.kill();
            process.ended().await;
            _ = envoy.quit().await; // it may have ended by itself
        }
    }

    fn say(&self, what: &str) {
        terminal::line(&format!("{}: {what}", self.proxy));
    }

    fn say_wrong(&self, what: &str) {
        self.say(&paint(Style::Red, what));
    }
}

/// What an agent of ours may have from our environment. The rest is the user's, and might mean something to it.
fn kept_environment() -> impl Iterator<Item = (OsString, OsString)> {
    ["PATH", "HOME", "TMPDIR", "RUST_LOG"].into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
}
