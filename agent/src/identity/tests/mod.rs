//! The task on paused time, against an authority that is a value.

#[path = "../../../tests/identity/ca.rs"]
mod ca;
mod clocks;
mod fuzz;
mod kept;
mod renewals;

use super::*;
use crate::state::StateDir;
use ca::Ca;
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::{task::JoinHandle, time::Instant};
use tombolo_core::InstanceId;
use tombolo_proto::agent::{CertificateRequest, CertificateResponse};

const ID: &str = "spiffe://cluster.local/ns/shop/sa/reviews";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A day in 2026, in whole seconds as certificates have them.
const BASE: Duration = Duration::from_secs(1_790_000_000);

/// Time as everybody in a test has it, and what the authority does.
#[derive(Clone)]
struct World {
    start: Instant,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    ca: Ca,
    /// How far the machine's clock is ahead of the authority's, in seconds.
    ahead: i64,
    issued_for: String,
    lifetime: Duration,
    dated_back: Duration,
    failure: Option<Failure>,
    hangs: bool,
    seen: Vec<Seen>,
}

/// One request.
#[derive(Clone, Debug)]
struct Seen {
    at: Duration,
    /// The key of the identity that was held, and whether its certificate was shown.
    held: Option<String>,
    shown: bool,
}

struct Agent {
    current: Current,
    handle: Handle,
    state: Arc<StateDir>,
    task: JoinHandle<()>,
}

impl World {
    fn new(lifetime: Duration) -> Self {
        let inner = Inner {
            ca: Ca::new("mesh"),
            ahead: 0,
            issued_for: ID.into(),
            lifetime,
            dated_back: Duration::ZERO,
            failure: None,
            hangs: false,
            seen: Vec::new(),
        };
        Self { start: Instant::now(), inner: Arc::new(Mutex::new(inner)) }
    }

    fn set(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.lock().unwrap());
    }

    fn away(&self, away: bool) {
        let failure = Failure { reason: Reason::Unreachable, message: "nobody answers".into() };
        self.set(|inner| inner.failure = away.then_some(failure));
    }

    fn seen(&self) -> Vec<Seen> {
        self.inner.lock().unwrap().seen.clone()
    }

    /// By the authority's clock.
    fn true_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + BASE + self.start.elapsed()
    }

    fn clock(&self) -> Clock {
        let world = self.clone();
        Arc::new(move || {
            let ahead = world.inner.lock().unwrap().ahead;
            let by = Duration::from_secs(ahead.unsigned_abs());
            if ahead < 0 { world.true_time() - by } else { world.true_time() + by }
        })
    }

    async fn agent(&self, directory: &Path) -> Agent {
        self.agent_with(directory, |_| {}).await
    }

    async fn agent_with(&self, directory: &Path, change: impl FnOnce(&mut Config)) -> Agent {
        let state = Arc::new(StateDir::open(directory, Duration::ZERO).await.unwrap());
        let mut config = Config::new(ID.parse().unwrap(), InstanceId::parse("machine-1").unwrap());
        change(&mut config);
        let (publisher, current) = channel();
        let (identity, handle) = Identity::new(config, self.clone(), state.clone(), self.clock(), publisher);
        let task = tokio::spawn(async move {
            let _ = identity.run().await;
        });
        Agent { current, handle, state, task }
    }

    /// An identity as the authority issues them.
    fn material(&self, id: &str, lifetime: Duration) -> Material {
        let (key, request) = request::new(&id.parse().unwrap(), &InstanceId::parse("x").unwrap(), lifetime).unwrap();
        let now = self.true_time();
        let chain = self.inner.lock().unwrap().ca.issue(&request.csr, id, now, now + lifetime);
        Material::from_response(key, &chain, now).unwrap()
    }
}

impl Authority for World {
    async fn certify(&self, request: CertificateRequest, proof: Proof) -> Result<CertificateResponse, Failure> {
        let (now, hangs) = (self.true_time(), self.inner.lock().unwrap().hangs);
        if hangs {
            std::future::pending::<()>().await;
        }
        let mut inner = self.inner.lock().unwrap();
        let held = proof.held.map(|material| material.key().pem().to_owned());
        inner.seen.push(Seen { at: self.start.elapsed(), held, shown: proof.show });
        if let Some(failure) = &inner.failure {
            return Err(failure.clone());
        }
        let (since, until) = (now - inner.dated_back, now + inner.lifetime);
        Ok(CertificateResponse { cert_chain: inner.ca.issue(&request.csr, &inner.issued_for, since, until) })
    }
}

impl Agent {
    async fn ready(&self) -> Arc<Material> {
        self.current.clone().ready().await.unwrap()
    }

    fn health(&self) -> Health {
        self.handle.health.borrow().clone()
    }

    /// Ends as a killed process does.
    async fn die(self) {
        self.task.abort();
        let _ = self.task.await;
        assert_eq!(Arc::strong_count(&self.state), 1);
    }
}

/// On paused time this takes none.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
