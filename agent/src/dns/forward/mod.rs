//! Asks other servers: the preferred one first, the next one as well when it does not answer soon, and the first good answer counts.
//! Equal questions at the same time are asked once.

mod exchange;
mod flights;
mod verdict;

pub(crate) use exchange::Failure;
pub(crate) use verdict::Answer;
#[cfg(test)]
pub(crate) use verdict::{Verdict, judge};

use super::{message::Query, metrics::Metrics, resolv::Resolv};
use flights::Flights;
use hickory_proto::op::Message;
use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

/// After a failure a server is asked after the others for this long.
const SHUNNED: Duration = Duration::from_secs(30);
/// Times that one question is put to servers.
const MOST_TRIES: usize = 8;

/// A good answer; or else the last bad one, if there was any.
pub(crate) type Outcome = Result<Answer, Option<Box<Message>>>;

/// The servers, and how they did.
#[derive(Debug)]
pub(crate) struct Upstreams {
    servers: Vec<Server>,
    /// How long a question may take in all.
    timeout: Duration,
    attempts: usize,
    rotate: bool,
    next: AtomicUsize,
    /// How long an answer is waited for before another server is asked as well.
    patience: Duration,
    flights: Flights<Outcome>,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    failed: Mutex<Option<Instant>>,
}

impl Server {
    fn set_failed(&self, failed: Option<Instant>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    fn is_shunned(&self, now: Instant) -> bool {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|failed| now < failed + SHUNNED)
    }
}

impl Upstreams {
    pub(crate) fn new(resolv: &Resolv, patience: Duration) -> Self {
        let servers = resolv.servers.iter().map(|address| Server { address: *address, failed: Mutex::default() });
        Self {
            servers: servers.collect(),
            timeout: resolv.timeout,
            attempts: resolv.attempts,
            rotate: resolv.rotate,
            next: AtomicUsize::new(0),
            patience,
            flights: Flights::default(),
        }
    }

    /// How long a question may take in all.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Each server, and whether it failed of late.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (SocketAddr, bool)> {
        let now = Instant::now();
        self.servers.iter().map(move |server| (server.address, server.is_shunned(now)))
    }

    /// The servers in the order in which to ask them, each as often as it may be asked.
    fn order(&self, now: Instant) -> impl Iterator<Item = usize> {
        let first = if self.rotate { self.next.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let count = self.servers.len();
        let mut order: Vec<_> = (0..count).map(|offset| (first % count + offset) % count).collect();
        order.sort_by_key(|server| self.servers[*server].is_shunned(now));
        let tries = (count * self.attempts).min(MOST_TRIES);
        order.into_iter().cycle().take(tries)
    }

    /// Waits for the outcome of a question that is being asked already, of `ask` otherwise. Questions are equal where the same would
    /// be sent, down to the spelling: an answer that is not understood here repeats it, and the client expects its own.
    pub(crate) async fn once(&self, query: &Query, ask: impl Future<Output = Outcome>) -> Outcome {
        match exchange::question(query, 0) {
            Ok(question) => self.flights.join(question.into(), ask).await,
            Err(_) => ask.await,
        }
    }

    /// Asks until `deadline`.
    pub(crate) async fn ask(&self, query: &Arc<Query>, deadline: Instant, metrics: &Metrics) -> Outcome {
        let mut race =
            Race { upstreams: self, query, metrics, tries: JoinSet::new(), running: Vec::new(), refused: None };
        let answer = timeout_at(deadline, race.run()).await;
        race.blame();
        match answer {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) | Err(_) => Err(race.refused),
        }
    }
}

/// One question on its way to several servers.
struct Race<'a> {
    upstreams: &'a Upstreams,
    query: &'a Arc<Query>,
    metrics: &'a Metrics,
    tries: JoinSet<(usize, Result<Answer, Failure>)>,
    /// Who was asked, and has not answered.
    running: Vec<(usize, Instant)>,
    refused: Option<Box<Message>>,
}

impl Race<'_> {
    async fn run(&mut self) -> Option<Answer> {
        let upstreams = self.upstreams;
        let mut order = upstreams.order(Instant::now());
        let mut patience = self.upstreams.patience;
        let mut more = self.begin(order.next());
        let mut impatient = Instant::now() + patience;
        loop {
            tokio::select! {
                biased;
                done = self.tries.join_next() => match done {
                    Some(Ok((server, outcome))) => {
                        self.running.retain(|(running, _)| *running != server);
                        if let Some(answer) = self.judge(server, outcome) {
                            return Some(answer);
                        }
                    }
                    Some(Err(_)) => {}
                    None => return None,
                },
                // Each further wait is twice as long: servers that are slow are not helped by more questions.
                () = sleep_until(impatient), if more => patience *= 2,
            }
            more = more && self.begin(order.next());
            impatient = Instant::now() + patience;
        }
    }

    fn begin(&mut self, server: Option<usize>) -> bool {
        let Some(server) = server else { return false };
        let (address, query) = (self.upstreams.servers[server].address, self.query.clone());
        self.running.push((server, Instant::now()));
        self.tries.spawn(async move { (server, exchange::ask(address, &query).await) });
        true
    }

    fn judge(&mut self, server: usize, outcome: Result<Answer, Failure>) -> Option<Answer> {
        let failure = match outcome {
            Ok(answer) => {
                self.upstreams.servers[server].set_failed(None);
                return Some(answer);
            }
            Err(failure) => failure,
        };
        self.fail(server, failure.reason());
        tracing::debug!(server = %self.upstreams.servers[server].address, "a name server failed: {failure}");
        if let Failure::Refused(message) = failure {
            self.refused = Some(message);
        }
        None
    }

    /// Holds their silence against those who were asked, and outrun.
    fn blame(&self) {
        let now = Instant::now();
        for (server, since) in &self.running {
            if now - *since >= self.upstreams.patience {
                self.fail(*server, "silent");
            }
        }
    }

    fn fail(&self, server: usize, reason: &'static str) {
        let server = &self.upstreams.servers[server];
        server.set_failed(Some(Instant::now()));
        self.metrics.upstream_failed(server.address, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(servers: u8, options: &str) -> Upstreams {
        let servers: String = (1..=servers).map(|last| format!("nameserver 192.0.2.{last}\n")).collect();
        Upstreams::new(&Resolv::parse(format!("{servers}{options}").as_bytes()), Duration::from_millis(300))
    }

    fn order(upstreams: &Upstreams, now: Instant) -> Vec<usize> {
        upstreams.order(now).collect()
    }

    #[test]
    fn servers_are_asked_in_turn_as_often_as_allowed() {
        let now = Instant::now();
        assert_eq!(order(&upstreams(3, ""), now), [0, 1, 2, 0, 1, 2]);
        assert_eq!(order(&upstreams(1, "options attempts:3"), now), [0, 0, 0]);
        assert_eq!(order(&upstreams(8, "options attempts:5"), now).len(), MOST_TRIES);
        let rotating = upstreams(3, "options rotate attempts:1");
        assert_eq!([0; 4].map(|_: u8| order(&rotating, now)), [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    }

    #[test]
    fn servers_that_failed_are_asked_last_for_a_while() {
        let (upstreams, now) = (upstreams(3, "options attempts:1"), Instant::now());
        upstreams.servers[0].set_failed(Some(now));
        assert_eq!(order(&upstreams, now), [1, 2, 0]);
        upstreams.servers[1].set_failed(Some(now));
        assert_eq!(order(&upstreams, now), [2, 0, 1]);
        upstreams.servers[2].set_failed(Some(now));
        assert_eq!(order(&upstreams, now), [0, 1, 2], "where all failed, the first is as good as any");
        upstreams.servers[1].set_failed(None);
        assert_eq!(order(&upstreams, now), [1, 0, 2]);
        assert_eq!(order(&upstreams, now + SHUNNED), [0, 1, 2]);
    }
}
