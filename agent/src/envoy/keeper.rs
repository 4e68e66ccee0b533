//! Keeps one Envoy: takes it over or starts it, starts it again when it dies, drains it, and ends it or leaves it.

use super::{
    bootstrap::Paths,
    client::Client,
    drain::{self, DrainSettings},
    log::Log,
    record::Record,
};
use crate::files;
use serde::Serialize;
use serde_json::Value;
use std::{
    io,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{process::Command, sync::watch, time};
use tombolo_process::{Backoff, Process};
use xxhash_rust::xxh3::xxh3_128;

/// How long an Envoy that was told to end may take.
const END: Duration = Duration::from_secs(3);
/// How long an Envoy that was just started by an agent that is gone may take until it answers.
const ANSWER: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// What an Envoy is kept by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program.
    pub program: PathBuf,
    /// Where its files are.
    pub paths: Paths,
    /// What it starts from: JSON of `envoy.config.bootstrap.v3.Bootstrap`, with its administration interface on [`Paths::admin`].
    pub bootstrap: Value,
    /// How it drains.
    pub drain: DrainSettings,
    /// Where it logs.
    pub log: Log,
    /// How much it logs: `warning`, `info`...
    pub log_level: String,
    /// How many threads serve; one a core where absent.
    pub concurrency: Option<u32>,
}

/// Where in its life an Envoy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is taken over or started.
    #[default]
    Starting,
    /// It runs; it may still wait for its config.
    Running,
    /// It died, and is started again in a while.
    Waiting,
    /// It finishes what it is doing.
    Draining,
    /// It has finished; it may still run.
    Drained,
    /// It has ended, and is not started again.
    Ended,
    /// It runs on without us.
    Left,
}

/// An Envoy's life, for those who watch it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Where in its life it is.
    pub phase: Phase,
    /// Its process, while it runs.
    pub pid: Option<i32>,
    /// Whether an agent before this one started it.
    pub taken_over: bool,
    /// How often it had to be started again.
    pub restarts: u64,
    /// Why it last had to be.
    pub failure: Option<String>,
}

/// A step that cannot be taken. Keeping an Envoy goes on: it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// A file of ours cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The program does not start.
    #[error("cannot start {}: {source}; name Envoy with --envoy", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What is wanted of an Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Serve,
    Drain,
    End,
    Kill,
    Leave,
}

/// Says what is wanted of an Envoy, and how it is.
#[derive(Clone, Debug)]
pub struct Control {
    wish: watch::Sender<Wish>,
    status: watch::Receiver<Status>,
}

impl Control {
    /// How it is.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Drains it, and returns once it is drained. It still runs then, and takes no more connections once the deadline has passed.
    pub async fn drain(&self) {
        self.wish.send_if_modified(|wish| {
            let changed = *wish == Wish::Serve;
            if changed {
                *wish = Wish::Drain;
            }
            changed
        });
        self.until(|phase| matches!(phase, Phase::Drained | Phase::Ended | Phase::Left)).await;
    }

    /// Drains it, unless that is done, and ends it. Returns once it has ended.
    pub async fn end(&self) {
        self.wish.send_replace(Wish::End);
        self.until(|phase| matches!(phase, Phase::Ended | Phase::Left)).await;
    }

    /// Ends it without another thought for what it is doing. Returns once it has ended.
    pub async fn kill(&self) {
        self.wish.send_replace(Wish::Kill);
        self.until(|phase| matches!(phase, Phase::Ended | Phase::Left)).await;
    }

    /// Lets it run, for the next agent to take over. Returns once nobody keeps it.
    pub async fn leave(&self) {
        self.wish.send_replace(Wish::Leave);
        self.until(|phase| matches!(phase, Phase::Ended | Phase::Left)).await;
    }

    async fn until(&self, reached: impl Fn(Phase) -> bool) {
        // A keeper that is gone keeps nothing.
        _ = self.status.clone().wait_for(|status| reached(status.phase)).await;
    }
}

/// Keeps one Envoy.
///
/// Which process is ours, when it started and what from are written down when it starts. The Envoy of an agent that is gone is
/// taken over if it is still that process, answers on its administration interface, is not draining, and was started from what we
/// would start one from; otherwise it is drained and replaced. Who the node is does not count there: only the agent reads that.
#[derive(Debug)]
pub struct Keeper {
    settings: Settings,
    client: Client,
    fingerprint: String,
    wish: watch::Receiver<Wish>,
    status: watch::Sender<Status>,
}

impl Keeper {
    /// A keeper, and what to control it by.
    pub fn new(settings: Settings) -> (Self, Control) {
        let (wish, wished) = watch::channel(Wish::Serve);
        let (sender, status) = watch::channel(Status::default());
        let client = Client::at(settings.paths.admin());
        let fingerprint = settings.fingerprint();
        (Self { settings, client, fingerprint, wish: wished, status: sender }, Control { wish, status })
    }

    /// Keeps it until it is to end or to be left. An Envoy outlives this future when it is dropped.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        let mut process = self.take_over().await;
        while process.is_some() || *self.wish.borrow() == Wish::Serve {
            let began = Instant::now();
            let failure = match process.take().map_or_else(|| self.start(), Ok) {
                Ok(mut process) => match self.serve(&mut process).await {
                    Some(failure) => failure,
                    None if *self.wish.borrow() == Wish::Leave => return self.enter(Phase::Left, None),
                    None => {
                        self.end(&mut process).await;
                        break;
                    }
                },
                Err(error) => error.to_string(),
            };
            let wait = backoff.wait_after(began.elapsed());
            tracing::error!(reason = failure, again_in = ?wait, "Envoy does not run");
            self.status.send_modify(|status| {
                status.restarts += 1;
                status.failure = Some(failure);
            });
            self.enter(Phase::Waiting, None);
            _ = time::timeout(wait, self.wished(|wish| wish != Wish::Serve)).await;
        }
        self.enter(Phase::Ended, None);
    }

    /// Watches over it until it dies, and says how; `None` where it is not wanted any more, drained or to be left.
    async fn serve(&self, process: &mut Process) -> Option<String> {
        let pid = process.identity().pid;
        self.enter(Phase::Running, Some(pid));
        tokio::select! {
            never = self.settings.log.keep_short() => match never {},
            ending = process.ended() => {
                let last = self.settings.log.last_words().map(|line| format!(": {line}")).unwrap_or_default();
                return Some(format!("Envoy {pid} ended with {ending}{last}"));
            }
            () = self.wished(|wish| wish != Wish::Serve) => {}
        }
        tokio::select! {
            () = self.wished(|wish| matches!(wish, Wish::Leave | Wish::Kill)) => return None,
            _ = process.ended() => {}
            () = self.drain(pid) => {}
        }
        self.enter(Phase::Drained, Some(pid));
        tokio::select! {
            () = self.wished(|wish| wish != Wish::Drain) => {}
            _ = process.ended() => {}
        }
        None
    }

    /// The Envoy of the agent before, if it can be ours.
    async fn take_over(&self) -> Option<Process> {
        let record = Record::read(&self.settings.paths.record());
        let record = record.filter(|record| record.boot == files::boot());
        let died = record.as_ref().and_then(|_| self.settings.log.last_words());
        let adopted = record.and_then(|record| Some((Process::adopt(record.process)?, record.bootstrap)));
        let Some((mut process, bootstrap)) = adopted else {
            if let Some(last) = died {
                tracing::warn!(last, "the Envoy of the agent before has died");
            }
            // That of an agent that was killed before it could write down which process it had started.
            let gone = async {
                while self.client.quit().await.is_ok() {
                    time::sleep(POLL).await;
                }
            };
            if time::timeout(END, gone).await.is_err() {
                tracing::warn!("an Envoy that nobody knows answers on our socket, and does not end");
            }
            return None;
        };
        let pid = process.identity().pid;
        let answer = async {
            loop {
                match self.client.state().await {
                    Ok(state) => return state,
                    Err(_) => time::sleep(POLL).await,
                }
            }
        };
        let fault = match time::timeout(ANSWER, answer).await {
            _ if bootstrap != self.fingerprint => "was started from something else than it would be now",
            Err(_) => "does not answer",
            Ok(state) if state == "DRAINING" => "was draining",
            Ok(_) => {
                tracing::info!(pid, "took over the Envoy of the agent before");
                self.status.send_modify(|status| status.taken_over = true);
                return Some(process);
            }
        };
        tracing::warn!(pid, "the Envoy of the agent before {fault}: replacing it");
        tokio::select! {
            () = self.drain(pid) => {}
            () = self.wished(|wish| wish == Wish::Kill) => {}
        }
        self.end(&mut process).await;
        None
    }

    fn start(&self) -> Result<Process, KeeperError> {
        let Settings { program, paths, log, .. } = &self.settings;
        let write = |path: PathBuf, content: &[u8]| {
            files::replace(&path, content).map_err(|source| KeeperError::Write { path, source })
        };
        let bootstrap = paths.bootstrap();
        write(bootstrap.clone(), format!("{:#}\n", self.settings.bootstrap).as_bytes())?;
        let (stdout, stderr) = log.open().map_err(|source| KeeperError::Write { path: paths.log(), source })?;
        let mut command = Command::new(program);
        command.arg("--config-path").arg(bootstrap).args(self.settings.arguments());
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let process = Process::spawn(&mut command);
        let process = process.map_err(|source| KeeperError::Start { path: program.clone(), source })?;
        let bootstrap = self.fingerprint.clone();
        let record = Record { process: process.identity(), boot: files::boot(), bootstrap };
        // One that nobody will find again must not be left.
        let written = record.write(&paths.record()).inspect_err(|_| process.kill());
        written.map_err(|source| KeeperError::Write { path: paths.record(), source })?;
        self.status.send_modify(|status| status.taken_over = false);
        tracing::info!(pid = process.identity().pid, "started Envoy");
        Ok(process)
    }

    async fn drain(&self, pid: i32) {
        self.enter(Phase::Draining, Some(pid));
        if let Err(error) = drain::drain(&self.client, self.settings.drain).await {
            tracing::warn!(pid, %error, "Envoy cannot be drained");
        }
    }

    /// Ends it: asked, told, and killed.
    async fn end(&self, process: &mut Process) {
        _ = self.client.quit().await; // one that cannot be asked is told
        if time::timeout(END, process.ended()).await.is_err() {
            process.terminate();
            if time::timeout(END, process.ended()).await.is_err() {
                process.kill();
                process.ended().await;
            }
        }
        let path = self.settings.paths.record();
        if let Err(error) = Record::forget(&path) {
            tracing::warn!(%error, path = %path.display(), "cannot remove the record of an Envoy that has ended");
        }
    }

    fn enter(&self, phase: Phase, pid: Option<i32>) {
        self.status.send_modify(|status| (status.phase, status.pid) = (phase, pid));
    }

    /// Waits until something is wanted; for ever where nobody is left to want it.
    async fn wished(&self, wanted: impl Fn(Wish) -> bool) {
        if self.wish.clone().wait_for(|wish| wanted(*wish)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Settings {
    fn arguments(&self) -> Vec<String> {
        // Also how long connections go on whose listener was changed, so it is not the deadline of the end.
        let drain = self.drain.listeners.as_secs().max(1).to_string();
        let mut arguments = vec!["--disable-hot-restart", "--log-level", &self.log_level, "--drain-time-s", &drain];
        // All callers are told at once: the default strategy would tell the last ones when the deadline passes.
        arguments.extend(["--drain-strategy", "immediate"]);
        let concurrency = self.concurrency.map(|threads| threads.to_string());
        arguments.extend(concurrency.iter().flat_map(|threads| ["--concurrency", threads]));
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// What makes two Envoys the same: program, arguments, and all of the bootstrap but the node.
    fn fingerprint(&self) -> String {
        let mut bootstrap = self.bootstrap.clone();
        bootstrap.as_object_mut().map(|bootstrap| bootstrap.remove("node"));
        let text = format!("{}\n{:?}\n{bootstrap}", self.program.display(), self.arguments());
        format!("{:032x}", xxh3_128(text.as_bytes()))
    }
}
