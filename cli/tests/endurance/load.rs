//! Requests at a steady rate, from several clients, each on a connection of its own.

use super::{app::HELD, client::Request};
use std::{
    net::SocketAddrV4,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const REQUESTS_PER_SECOND: u32 = 200;
const CLIENTS: u32 = 8;
/// Every so many requests one is abandoned: the gateway must close its connection to the workload, and shake hands again.
const ABANDONED: u32 = 10;

/// Load, until its end.
pub(crate) struct Load {
    began: Instant,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    /// Through a gateway, to the workload behind it.
    pub(crate) fn start(gateway: SocketAddrV4) -> Self {
        let began = Instant::now();
        let mut load =
            Self { began, over: Arc::default(), sent: Arc::default(), failures: Arc::default(), clients: Vec::new() };
        for _ in 0..CLIENTS {
            let (over, sent, failures) = (load.over.clone(), load.sent.clone(), load.failures.clone());
            load.clients.push(thread::spawn(move || {
                let mut turn = 0;
                while !over.load(Ordering::Relaxed) {
                    if let Err(failure) = send(gateway, turn) {
                        failures.lock().unwrap().push(format!("after {:?}: {failure}", began.elapsed()));
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                    // Paced by the clock, not by the answers: one that is late is followed at once.
                    turn += 1;
                    let due = Duration::from_secs(1) * turn * CLIENTS / REQUESTS_PER_SECOND;
                    thread::sleep(due.saturating_sub(began.elapsed()));
                }
            }));
        }
        load
    }

    /// What failed so far.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }

    /// Ends it. Not one request may have failed, and as many were sent as should be.
    pub(crate) fn end(self) {
        let lasted = self.began.elapsed();
        self.over.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        let (sent, failures) = (self.sent.load(Ordering::Relaxed), self.failures.lock().unwrap());
        println!("{sent} requests in {lasted:?}, {} failed", failures.len());
        assert!(failures.is_empty(), "{} of {sent} requests failed: {failures:#?}", failures.len());
        let due = f64::from(REQUESTS_PER_SECOND) * lasted.as_secs_f64();
        assert!(sent as f64 >= due * 0.9, "only {sent} requests were sent in {lasted:?}");
    }
}

fn send(gateway: SocketAddrV4, turn: u32) -> Result<(), String> {
    let abandoned = turn % ABANDONED == ABANDONED - 1;
    let target = if abandoned { HELD } else { "/" };
    let request = Request { to: gateway, target, host: "any.example", marker: "" };
    if abandoned {
        return match request.abandon() {
            Ok(200) => Ok(()),
            Ok(status) => Err(format!("{status} for {HELD}")),
            Err(error) => Err(format!("{HELD}: {error}")),
        };
    }
    match request.answer() {
        Ok((200, body)) if body.contains("Hash=") => Ok(()),
        Ok((200, body)) => Err(format!("called without a certificate: {body:?}")),
        Ok((status, body)) => Err(format!("{status} {body}")),
        Err(error) => Err(error.to_string()),
    }
}
