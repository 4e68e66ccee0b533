//! The task that sees to it that there is a certificate, and always one that lasts.

use super::{
    Authority, Current, Failure, Health, Material, Metrics, Proof, Publisher, Reason, files, request, schedule, stored,
};
use crate::{state::StateDir, upstream::Backoff};
use prometheus_client::registry::Registry;
use std::{
    convert::Infallible,
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tombolo_core::{InstanceId, SpiffeId};

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// How often the clock is looked at. Timers stand still while a machine sleeps, and know nothing of a clock that is set.
const LOOK: Duration = Duration::from_secs(30);
/// How long one request may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(20);
/// How soon after a request another one can be asked for.
const PAUSE: Duration = Duration::from_secs(5);

/// Whose identity it is, and where else it is kept.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who this workload is. A certificate for anybody else is refused.
    pub id: SpiffeId,
    /// Which instance of it: a pod's UID, or a machine's own (see [`super::instance_id`]).
    pub instance: InstanceId,
    /// The lifetime that is asked for (`SECRET_TTL`). The control plane may give less.
    pub lifetime: Duration,
    /// Where each new identity is written to besides, for others: `key.pem`, `cert-chain.pem`, `root-cert.pem`
    /// (`OUTPUT_CERTS`). The directory must be there.
    pub output: Option<PathBuf>,
    /// Where an identity is found that proves who asks for the first certificate (`PROV_CERT`): the same three files.
    pub provisioned: Option<PathBuf>,
}

/// Gets a certificate, keeps it and renews it.
pub struct Identity<A> {
    config: Config,
    authority: A,
    state: Arc<StateDir>,
    clock: Clock,
    publisher: Publisher,
    health: watch::Sender<Health>,
    metrics: Metrics,
    asked: Arc<Notify>,
    /// The newest one, perhaps expired: it may still prove who we are.
    held: Option<Arc<Material>>,
    /// When it is to be renewed by a clock that nobody sets, and the dice for when by the clock that counts.
    due: Instant,
    /// When it was last asked for.
    last: Instant,
    dice: f64,
    failure: Option<Failure>,
    backoff: Backoff,
}

/// What others need of an [`Identity`]. Clones are cheap.
#[derive(Clone)]
pub struct Handle {
    /// How it stands, for readiness.
    pub health: watch::Receiver<Health>,
    /// What became of requests.
    pub metrics: Metrics,
    clock: Clock,
    asked: Arc<Notify>,
}

impl Config {
    /// For a workload, with certificates of 24 hours.
    pub const fn new(id: SpiffeId, instance: InstanceId) -> Self {
        let lifetime = Duration::from_secs(24 * 60 * 60);
        Self { id, instance, lifetime, output: None, provisioned: None }
    }
}

// === impl Identity ===

impl<A: Authority> Identity<A> {
    /// Takes up the identity that the state directory has, if it is of use: then it is published when this returns.
    pub fn new(
        config: Config,
        authority: A,
        state: Arc<StateDir>,
        clock: Clock,
        publisher: Publisher,
    ) -> (Self, Handle) {
        let missing = Health::Missing { reason: "the control plane was not asked yet".to_owned() };
        let (health, watched) = watch::channel(missing);
        let (metrics, asked) = (Metrics::default(), Arc::new(Notify::new()));
        let handle = Handle { metrics: metrics.clone(), asked: asked.clone(), ..Handle::new(watched, clock.clone()) };
        let mut identity = Self {
            held: None,
            due: Instant::now(),
            last: Instant::now(),
            dice: fastrand::f64(),
            failure: None,
            backoff: Backoff::default(),
            config,
            authority,
            state,
            clock,
            publisher,
            health,
            metrics,
            asked,
        };
        identity.take_up();
        (identity, handle)
    }

    /// Obtains and renews, for ever.
    pub async fn run(mut self) -> Infallible {
        loop {
            let now = (self.clock)();
            self.report(now);
            let wait = self.wait(now);
            if wait > Duration::ZERO {
                let asked = self.asked.clone();
                tokio::select! {
                    () = tokio::time::sleep(wait.min(LOOK)) => {}
                    () = asked.notified() => self.due = self.due.min(self.last + PAUSE),
                }
                continue;
            }
            self.last = Instant::now();
            match self.renew().await {
                Ok(material) => self.accept(material).await,
                Err(failure) => self.fail(failure),
            }
        }
    }

    /// What was kept; otherwise what was provisioned, which is only shown to the control plane.
    fn take_up(&mut self) {
        let now = (self.clock)();
        let stored = stored::load(&self.state).unwrap_or_else(|error| {
            tracing::warn!("the kept identity is of no use, a new one is asked for: {error}");
            None
        });
        if let Some(material) = stored.filter(|material| self.is_ours(material)) {
            self.hold(Arc::new(material), now);
            return;
        }
        let Some(directory) = &self.config.provisioned else { return };
        match files::load(directory, now) {
            Ok(provisioned) => self.held = provisioned.filter(|material| self.is_ours(material)).map(Arc::new),
            Err(error) => tracing::warn!("the identity in {} is of no use: {error}", directory.display()),
        }
    }

    fn is_ours(&self, material: &Material) -> bool {
        let ours = *material.id() == self.config.id;
        if !ours {
            tracing::warn!("passed over: an identity of {}, and this is {}", material.id(), self.config.id);
        }
        ours
    }

    /// From now on this is the newest one. Others see it unless it has expired.
    fn hold(&mut self, material: Arc<Material>, now: SystemTime) {
        self.dice = fastrand::f64();
        self.due = Instant::now() + schedule::until_renewal(&material, self.dice, now);
        self.held = Some(material.clone());
        if !material.is_expired_at(now) {
            self.publisher.0.send_replace(Some(material));
        }
    }

    /// How long until the next try: by whichever clock says so first, or after a failure by the backoff alone.
    fn wait(&self, now: SystemTime) -> Duration {
        let by_timer = self.due.saturating_duration_since(Instant::now());
        match &self.held {
            Some(material) if self.failure.is_none() && self.is_published() => {
                by_timer.min(schedule::until_renewal(material, self.dice, now))
            }
            _ => by_timer,
        }
    }

    fn is_published(&self) -> bool {
        self.publisher.0.borrow().is_some()
    }

    fn report(&self, now: SystemTime) {
        let published = self.publisher.0.borrow().clone();
        let failure = self.failure.as_ref().map(|failure| failure.message.as_str());
        let health = schedule::health(published.as_deref(), failure, now);
        self.health.send_if_modified(|was| {
            let changed = *was != health;
            *was = health;
            changed
        });
    }

    async fn renew(&self) -> Result<Material, Failure> {
        let (key, request) = request::new(&self.config.id, &self.config.instance, self.config.lifetime)
            .map_err(|error| Failure { reason: Reason::Key, message: format!("no key can be made: {error}") })?;
        // A server may end the handshake of a certificate that it does not like before it looks at the token: every second
        // try goes without it.
        let proof = Proof { held: self.held.clone(), show: self.backoff.failures().is_multiple_of(2) };
        let answer = tokio::time::timeout(PATIENCE, self.authority.certify(request, proof)).await;
        let answer = answer.unwrap_or_else(|_| {
            let message = format!("the control plane did not answer for {} seconds", PATIENCE.as_secs());
            Err(Failure { reason: Reason::Unreachable, message })
        })?;
        let invalid = |message| Failure { reason: Reason::Invalid, message };
        let now = (self.clock)();
        let material = Material::from_response(key, &answer.cert_chain, now)
            .map_err(|error| invalid(format!("the control plane issued something that is of no use: {error}")))?;
        self.check(&material, now).map_err(invalid)?;
        Ok(material)
    }

    fn check(&self, material: &Material, now: SystemTime) -> Result<(), String> {
        let (issued, ours) = (material.id(), &self.config.id);
        if issued != ours {
            return Err(format!(
                "the control plane takes this workload for {issued}, and its configuration says {ours}: correct the trust \
                 domain, namespace and service account, or bring the token of that one"
            ));
        }
        if material.is_expired_at(now) {
            return Err("the new certificate has expired already: is this machine's clock right?".to_owned());
        }
        if material.is_early_at(now) {
            tracing::warn!("the new certificate is not valid yet: is this machine's clock right?");
        }
        Ok(())
    }

    async fn accept(&mut self, material: Material) {
        let material = Arc::new(material);
        self.metrics.renewed();
        self.failure = None;
        self.backoff.reset();
        self.keep(material.clone()).await;
        let lasts = material.not_after().duration_since((self.clock)()).unwrap_or_default().as_secs();
        tracing::info!(id = %material.id(), "a certificate was issued; it lasts for {lasts} seconds");
        self.hold(material, (self.clock)());
    }

    /// On disk, before anybody uses it. A full disk does not make it worse: it is only gone after a restart.
    async fn keep(&self, material: Arc<Material>) {
        let (state, output) = (self.state.clone(), self.config.output.clone());
        let saved = tokio::task::spawn_blocking(move || {
            let saved = stored::save(&state, &material);
            output.map_or(Ok(()), |directory| files::save(&directory, &material)).and(saved)
        });
        if let Ok(Err(error)) = saved.await {
            self.metrics.unsaved();
            tracing::error!("the new certificate is not kept for after a restart: {error}");
        }
    }

    fn fail(&mut self, failure: Failure) {
        let wait = self.backoff.wait();
        self.metrics.failed(failure.reason);
        let (now, published) = ((self.clock)(), self.publisher.0.borrow().clone());
        let again = format!("asked again in {:.1} seconds", wait.as_secs_f32());
        match schedule::health(published.as_deref(), Some(&failure.message), now) {
            Health::Ok => tracing::warn!("the certificate could not be renewed, {again}: {failure}"),
            health => tracing::error!("{}; {again}", health.reasons().concat()),
        }
        self.failure = Some(failure);
        self.due = Instant::now() + wait;
    }
}

impl<A> fmt::Debug for Identity<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("config", &self.config).field("held", &self.held).finish_non_exhaustive()
    }
}

// === impl Handle ===

impl Handle {
    /// Of an identity that is not asked for here.
    pub(super) fn new(health: watch::Receiver<Health>, clock: Clock) -> Self {
        Self { health, metrics: Metrics::default(), clock, asked: Arc::default() }
    }

    /// Of an identity that the agent has no part in: there is nothing to say of it.
    pub fn elsewhere(clock: Clock) -> Self {
        Self::new(watch::channel(Health::Ok).1, clock)
    }

    pub(super) fn asked(&self) -> Arc<Notify> {
        self.asked.clone()
    }

    /// Asks for a new certificate soon, as when the one that there is was refused. At most one request in five seconds.
    pub fn renew_now(&self) {
        self.asked.notify_one();
    }

    /// Registers counters, and the time to expiry of the newest identity.
    pub fn register(&self, current: Current, registry: &mut Registry) {
        self.metrics.register(current, self.clock.clone(), registry);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("health", &*self.health.borrow()).finish_non_exhaustive()
    }
}
