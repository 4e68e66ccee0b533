//! Tries a probe once a period, and publishes what it comes to.

use super::{
    Action, Memory, Probe, Report, exec, grpc, http,
    judge::{Judge, Outcome, not_probed},
    tcp,
};
use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// The longest reason that is reported, in bytes.
const LONGEST_REASON: usize = 500;

/// Tries a probe.
#[derive(Debug)]
pub struct Prober {
    probe: Probe,
    local: IpAddr,
    memory: Memory,
    judge: Judge,
    report: watch::Sender<Report>,
}

impl Prober {
    /// One that probes the workload on this address of its own, and what it reports. Until the first verdict that is what was
    /// reported last.
    pub fn new(probe: Probe, local: IpAddr, memory: Memory) -> (Self, watch::Receiver<Report>) {
        let last = memory.recall().unwrap_or_else(|error| {
            // The time is later than any number that was given: there was at most one a second.
            let sequence = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
            tracing::warn!(%error, sequence, "health reports are numbered anew");
            Some((not_probed(sequence), false))
        });
        let (last, still) = last.map_or((None, true), |(report, still)| (Some(report), still));
        let judge = Judge::new(probe.timing, last, still);
        let (report, reports) = watch::channel(judge.report().clone());
        (Self { probe, local, memory, judge, report }, reports)
    }

    /// Probes until nobody listens. `held_back` says why the proxy cannot take traffic; while it does the workload is not healthy.
    pub async fn run(mut self, mut held_back: watch::Receiver<Vec<String>>) {
        self.publish(); // the last report may not count any more
        let timing = self.probe.timing;
        let reports = self.report.clone();
        tokio::select! {
            () = sleep(timing.initial_delay()) => {}
            () = reports.closed() => return,
        }
        let mut period = interval(timing.period().max(Duration::from_secs(1)));
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let reasons = held_back.borrow_and_update().clone();
            if self.judge.hold(&reasons) {
                self.publish();
            }
            tokio::select! {
                _ = period.tick() => {
                    let outcome = self.attempt().await;
                    if self.judge.observe(outcome) {
                        self.publish();
                    }
                }
                Ok(()) = held_back.changed() => {}
                () = reports.closed() => return,
            }
        }
    }

    async fn attempt(&self) -> Outcome {
        let limit = self.probe.timing.timeout();
        let tried = async {
            match &self.probe.action {
                Action::HttpGet(get) => http::probe(get, self.local).await,
                Action::TcpSocket(socket) => tcp::probe(socket, self.local).await,
                Action::Exec(program) => exec::probe(program).await,
                Action::Grpc(check) => grpc::probe(check, self.local).await,
            }
        };
        let outcome = timeout(limit, tried).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")));
        outcome.map_err(|mut reason| {
            reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
            reason
        })
    }

    /// Kept before it is told: its number is used up then.
    fn publish(&self) {
        let report = self.judge.report();
        if let Err(error) = self.memory.keep(report) {
            tracing::warn!(%error, "the health report's number may come again after a restart");
        }
        match &report.healthy {
            Ok(()) => tracing::info!(sequence = report.sequence, "the workload is healthy"),
            Err(reason) => tracing::warn!(sequence = report.sequence, reason, "the workload is not healthy"),
        }
        self.report.send_replace(report.clone());
    }
}
