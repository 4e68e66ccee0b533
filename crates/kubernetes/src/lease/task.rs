//! The election's client: looks, takes, renews, gives back.

use super::{Action, LeaseConfig, Observation, decide};
use crate::retry::Failure;
use k8s_openapi::{
    api::coordination::v1::{Lease as Object, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// One duty, and who stands for it.
pub struct Lease;

impl Lease {
    /// Stands for the duty `name` as `identity`, which no other process has: a pod's name. Nothing happens until
    /// [`LeaseTask::run`]. The receiver says whether the Lease is held; once its sender is gone, it is not.
    #[allow(clippy::new_ret_no_self)] // the task and what it says are two things
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        config: LeaseConfig,
    ) -> (LeaseTask, watch::Receiver<bool>) {
        let (held, receiver) = watch::channel(false);
        let task = LeaseTask {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            config,
            held,
            holder: watch::Sender::new(None),
            mine: None,
            observed: None,
            failing: false,
        };
        (task, receiver)
    }
}

/// The election of one duty.
pub struct LeaseTask {
    api: Api<Object>,
    name: String,
    identity: String,
    config: LeaseConfig,
    held: watch::Sender<bool>,
    /// Who held it when it was last looked at.
    holder: watch::Sender<Option<Arc<str>>>,
    /// The Lease as we wrote it last, while it is ours.
    mine: Option<Mine>,
    observed: Option<Observation>,
    failing: bool,
}

struct Mine {
    object: Object,
    /// Before the request was sent that wrote it.
    renewed: Instant,
}

impl LeaseTask {
    /// Who holds the Lease, as was last seen: this one or another, or nobody.
    pub fn holder(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.holder.subscribe()
    }

    /// Takes part until told to stop, and then gives back what it holds. Whoever does the duty should have ended by then.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let turn = async {
                let wait = self.turn().await;
                sleep(wait).await;
            };
            if stop.run_until_cancelled(turn).await.is_none() {
                break;
            }
        }
        self.release().await;
    }

    /// One attempt; returns how long to wait before the next.
    async fn turn(&mut self) -> Duration {
        let began = Instant::now();
        let patience = match self.left(began) {
            Some(Duration::ZERO) => {
                self.lose("it could not be renewed");
                self.config.renew / 2
            }
            left => left.unwrap_or(Duration::MAX).min(self.config.renew / 2),
        };
        let wait = match timeout(patience, self.attempt(began)).await {
            Ok(Ok(wait)) => {
                self.failing = false;
                wait
            }
            Ok(Err(error)) => self.failed(&format!("{error}: {}", Failure::of(&error).fix())),
            Err(_) => self.failed("the API server does not answer"),
        };
        // A holder wakes in time to stop.
        self.left(Instant::now()).map_or(wait, |left| wait.min(left))
    }

    /// How long what we hold may still be relied on.
    fn left(&self, now: Instant) -> Option<Duration> {
        let mine = self.mine.as_ref()?;
        Some((mine.renewed + self.config.renew).saturating_duration_since(now))
    }

    fn failed(&mut self, why: &str) -> Duration {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(lease = self.name, held = self.mine.is_some(), "cannot be looked at or renewed: {why}");
        }
        jittered(self.config.retry)
    }

    async fn attempt(&mut self, began: Instant) -> kube::Result<Duration> {
        // Renewing needs no look first: the version says whether anybody wrote meanwhile.
        if let Some(ours) = self.mine.as_ref().map(|mine| mine.object.clone()) {
            match self.write(Some(&ours), began).await {
                Err(error) if lost_race(&error) => {}
                written => return written.map(|()| self.config.retry),
            }
        }
        let live = self.api.get_opt(&self.name).await?;
        let (now, last) = (Instant::now(), self.observed.take());
        let spec = live.as_ref().map(|live| live.spec.clone().unwrap_or_default());
        self.see(spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()));
        self.observed = spec.map(|spec| Observation::see(last, &spec, now));
        match decide(self.observed.as_ref(), now, &self.identity, &self.config) {
            Action::Wait(wait) => {
                self.lose("somebody else took it");
                Ok(jittered(wait))
            }
            Action::Create | Action::Take | Action::Renew => match self.write(live.as_ref(), began).await {
                Err(error) if lost_race(&error) => {
                    self.lose("somebody else was faster");
                    Ok(jittered(self.config.retry))
                }
                written => written.map(|()| self.config.retry),
            },
        }
    }

    /// Makes it ours, from now on.
    async fn write(&mut self, live: Option<&Object>, began: Instant) -> kube::Result<()> {
        let (old, metadata) = match live {
            Some(live) => (live.spec.clone().unwrap_or_default(), live.metadata.clone()),
            None => {
                let name = Some(self.name.clone());
                (LeaseSpec::default(), ObjectMeta { name, ..ObjectMeta::default() })
            }
        };
        let object = Object { metadata, spec: Some(self.claim(old)) };
        let object = match live {
            Some(_) => self.api.replace(&self.name, &PostParams::default(), &object).await?,
            None => self.api.create(&PostParams::default(), &object).await?,
        };
        self.mine = Some(Mine { object, renewed: began });
        self.see(Some(&self.identity));
        if !self.held.send_replace(true) {
            tracing::info!(lease = self.name, identity = self.identity, "held");
        }
        Ok(())
    }

    fn claim(&self, old: LeaseSpec) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let ours = old.holder_identity.as_ref() == Some(&self.identity);
        let transitions = old.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.config.duration.as_secs()).unwrap_or(i32::MAX).max(1)),
            acquire_time: if ours { old.acquire_time } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(if ours { transitions } else { transitions.saturating_add(1) }),
            ..old
        }
    }

    fn see(&self, holder: Option<&str>) {
        let holder = holder.filter(|holder| !holder.is_empty());
        self.holder.send_if_modified(|known| {
            let news = known.as_deref() != holder;
            if news {
                *known = holder.map(Arc::from);
            }
            news
        });
    }

    fn lose(&mut self, why: &str) {
        self.mine = None;
        if self.held.send_replace(false) {
            tracing::warn!(lease = self.name, identity = self.identity, "no longer held: {why}");
        }
    }

    /// Gives it back: whoever looks next takes it.
    async fn release(&mut self) {
        self.held.send_replace(false);
        let Some(Mine { object, .. }) = self.mine.take() else { return };
        match timeout(self.config.retry, self.give_back(object)).await {
            Ok(Ok(())) => tracing::info!(lease = self.name, "given back"),
            Ok(Err(error)) => tracing::warn!(lease = self.name, "cannot be given back, it will expire: {error}"),
            Err(_) => tracing::warn!(lease = self.name, "cannot be given back, it will expire: no answer"),
        }
    }

    async fn give_back(&self, object: Object) -> kube::Result<()> {
        let replaced = self.api.replace(&self.name, &PostParams::default(), &freed(object)).await;
        match replaced {
            Err(error) if lost_race(&error) => {}
            replaced => return replaced.map(drop),
        }
        // Perhaps by a renewal of ours that was interrupted.
        let live = self.api.get_opt(&self.name).await?;
        let holder = |live: &Object| live.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        if let Some(live) = live.filter(|live| holder(live).as_ref() == Some(&self.identity)) {
            self.api.replace(&self.name, &PostParams::default(), &freed(live)).await?;
        }
        Ok(())
    }
}

/// A task that is dropped holds nothing, whatever was said last.
impl Drop for LeaseTask {
    fn drop(&mut self) {
        self.held.send_replace(false);
    }
}

/// The same Lease, held by nobody.
fn freed(mut lease: Object) -> Object {
    let old = lease.spec.take().unwrap_or_default();
    let renew_time = Some(MicroTime(Timestamp::now()));
    lease.spec = Some(LeaseSpec { holder_identity: None, renew_time, lease_duration_seconds: Some(1), ..old });
    lease
}

/// Somebody else wrote first, or removed it.
fn lost_race(error: &kube::Error) -> bool {
    matches!(Failure::of(error), Failure::Conflict | Failure::NotFound)
}

/// Up to a fifth longer, so that those who wait do not look in step.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + 0.2 * fastrand::f64())
}
