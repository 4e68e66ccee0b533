use crate::api::Server;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tombolo_kubernetes::lease::{Lease, LeaseConfig};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/mesh/leases/writer";

/// Somebody who stands for the duty.
struct Candidate {
    held: watch::Receiver<bool>,
    holder: watch::Receiver<Option<Arc<str>>>,
    stop: CancellationToken,
    cut: Arc<Mutex<bool>>,
    task: JoinHandle<()>,
}

impl Candidate {
    fn new(server: &Server, identity: &str) -> Self {
        let cut = Arc::<Mutex<bool>>::default();
        let client = server.client_through(cut.clone());
        let (lease, held) = Lease::new(client, "mesh", "writer", identity, LeaseConfig::default());
        let (stop, holder) = (CancellationToken::new(), lease.holder());
        Self { held, holder, stop: stop.clone(), cut, task: tokio::spawn(lease.run(stop)) }
    }

    fn holds(&self) -> bool {
        *self.held.borrow()
    }

    async fn until(&mut self, held: bool) -> Duration {
        let began = Instant::now();
        timeout(Duration::from_secs(60), self.held.wait_for(|now| *now == held)).await.unwrap().unwrap();
        began.elapsed()
    }
}

fn spec(server: &Server, field: &str) -> Value {
    server.state().objects[PATH]["spec"][field].clone()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_holds_it_and_renews_it() {
    let server = Server::default();
    let mut first = Candidate::new(&server, "first");
    first.until(true).await;
    let second = Candidate::new(&server, "second");
    sleep(Duration::from_secs(120)).await;
    assert!(first.holds() && !second.holds());
    let seen = [&first, &second].map(|candidate| candidate.holder.borrow().as_deref() == Some("first"));
    assert_eq!(seen, [true, true], "who waits knows for whom");
    assert_eq!((spec(&server, "holderIdentity"), spec(&server, "leaseDurationSeconds")), ("first".into(), 15.into()));
    assert_eq!(spec(&server, "leaseTransitions"), 1);
    let writes = server.writes();
    assert!((55..=65).contains(&writes), "renewed every two seconds: {writes} writes");
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_hands_it_over() {
    let server = Server::default();
    let mut first = Candidate::new(&server, "first");
    first.until(true).await;
    let mut second = Candidate::new(&server, "second");
    sleep(Duration::from_secs(7)).await;
    first.stop.cancel();
    first.task.await.unwrap();
    assert_eq!(spec(&server, "holderIdentity"), Value::Null);
    let waited = second.until(true).await;
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    assert_eq!(spec(&server, "leaseTransitions"), 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_renew_stops_before_another_begins() {
    let server = Server::default();
    let mut first = Candidate::new(&server, "first");
    first.until(true).await;
    let mut second = Candidate::new(&server, "second");
    sleep(Duration::from_secs(5)).await;
    *first.cut.lock().unwrap() = true;
    let began = Instant::now();
    let lost = async {
        first.until(false).await;
        began.elapsed()
    };
    let taken = async {
        second.until(true).await;
        began.elapsed()
    };
    let (lost, taken) = tokio::join!(lost, taken);
    assert!(lost <= Duration::from_secs(10) && taken >= Duration::from_secs(13), "{lost:?}, {taken:?}");
    // Back on the line it waits like everybody else.
    *first.cut.lock().unwrap() = false;
    sleep(Duration::from_secs(60)).await;
    assert!(second.holds() && !first.holds());
}

#[tokio::test(start_paused = true)]
async fn one_whose_process_is_gone_is_waited_for() {
    let server = Server::default();
    let mut first = Candidate::new(&server, "first");
    first.until(true).await;
    let mut second = Candidate::new(&server, "second");
    sleep(Duration::from_secs(5)).await;
    first.task.abort();
    assert!(second.until(true).await >= Duration::from_secs(13));
    assert!(first.held.changed().await.is_ok() && !first.holds(), "a task that is gone holds nothing");
}

#[tokio::test(start_paused = true)]
async fn the_same_identity_goes_on_at_once_and_a_stolen_lease_is_given_up() {
    let server = Server::default();
    let mut first = Candidate::new(&server, "first");
    first.until(true).await;
    first.task.abort();
    let mut again = Candidate::new(&server, "first");
    assert!(again.until(true).await < Duration::from_secs(1));
    assert_eq!(spec(&server, "leaseTransitions"), 1);
    let mut stolen = server.state().objects[PATH].clone();
    stolen["spec"]["holderIdentity"] = "thief".into();
    server.state().put(PATH, stolen);
    assert!(again.until(false).await <= Duration::from_secs(2));
    server.state().objects.clear();
    assert!(again.until(true).await <= Duration::from_secs(3), "a Lease that is deleted is made anew");
}

#[tokio::test(start_paused = true)]
async fn of_many_one_holds_it() {
    let server = Server::default();
    let many: Vec<_> = (0..10).map(|i| Candidate::new(&server, &format!("candidate-{i}"))).collect();
    for _ in 0..30 {
        sleep(Duration::from_secs(1)).await;
        assert!(many.iter().filter(|candidate| candidate.holds()).count() <= 1);
    }
    assert_eq!(many.iter().filter(|candidate| candidate.holds()).count(), 1);
}
