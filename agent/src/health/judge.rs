//! From outcomes to a verdict, from verdicts to reports. Pure.

use super::{Report, Timing};

/// What a probe said once: nothing, or why it failed.
pub(crate) type Outcome = Result<(), String>;

/// Makes reports of a probe's outcomes, and of what holds the proxy back.
#[derive(Debug)]
pub(crate) struct Judge {
    thresholds: (u32, u32),
    /// Whether the workload is healthy; `None` before enough outcomes of one kind in a row.
    verdict: Option<Outcome>,
    /// The kind of the last outcomes, and how many there were of it in a row.
    streak: (bool, u32),
    held_back: Option<String>,
    report: Report,
}

impl Judge {
    /// `last` is the last report before this, and `still` whether it still says something about the workload: it does not after the
    /// machine was started anew.
    pub(crate) fn new(timing: Timing, last: Option<Report>, still: bool) -> Self {
        let mut report = last.unwrap_or_else(|| not_probed(0));
        let verdict = (still && report.sequence > 0).then(|| report.healthy.clone());
        if !still && report.healthy.is_ok() {
            report = not_probed(report.sequence.saturating_add(1));
        }
        let thresholds = (timing.success_threshold, timing.failure_threshold);
        Self { thresholds, verdict, streak: (false, 0), held_back: None, report }
    }

    /// The report that counts now.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// Takes in what the probe said. True where that makes a new report.
    pub(crate) fn observe(&mut self, outcome: Outcome) -> bool {
        let good = outcome.is_ok();
        let run = if self.streak.0 == good { self.streak.1.saturating_add(1) } else { 1 };
        self.streak = (good, run);
        let enough = if good { self.thresholds.0 } else { self.thresholds.1 };
        if run >= enough {
            self.verdict = Some(outcome);
        }
        self.settle()
    }

    /// Takes in what holds the proxy back; that needs no thresholds. True where that makes a new report.
    pub(crate) fn hold(&mut self, reasons: &[String]) -> bool {
        self.held_back = (!reasons.is_empty()).then(|| format!("the proxy is not ready: {}", reasons.join("; ")));
        self.settle()
    }

    fn settle(&mut self) -> bool {
        let Some(verdict) = &self.verdict else { return false };
        let healthy = self.held_back.clone().map_or_else(|| verdict.clone(), Err);
        // Another reason alone is no news.
        let news = self.report.sequence == 0 || healthy.is_ok() != self.report.healthy.is_ok();
        if news {
            self.report = Report { healthy, sequence: self.report.sequence.saturating_add(1) };
        }
        news
    }
}

/// What is reported before the first verdict.
pub(super) fn not_probed(sequence: u64) -> Report {
    Report { healthy: Err("the workload has not been probed yet".to_owned()), sequence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judge(success: u32, failure: u32) -> Judge {
        let timing = Timing { success_threshold: success, failure_threshold: failure, ..Timing::default() };
        Judge::new(timing, None, false)
    }

    fn outcome(good: bool) -> Outcome {
        if good { Ok(()) } else { Err("refused".to_owned()) }
    }

    #[test]
    fn a_row_of_outcomes_turns_the_verdict_and_a_mixed_one_does_not() {
        let mut judge = judge(2, 3);
        let steps = [
            (true, 0), // one of two
            (true, 1), // healthy
            (false, 1),
            (false, 1),
            (true, 1), // the row is broken
            (false, 1),
            (false, 1),
            (false, 2), // unhealthy
            (false, 2), // still
            (true, 2),
            (true, 3), // healthy again
        ];
        for (step, (good, sequence)) in steps.into_iter().enumerate() {
            let before = judge.report().sequence;
            assert_eq!(judge.observe(outcome(good)), sequence != before, "step {step}");
            assert_eq!(judge.report().sequence, sequence, "step {step}");
        }
    }

    #[test]
    fn a_proxy_that_is_held_back_counts_at_once_and_only_after_a_verdict() {
        let mut judge = judge(1, 3);
        assert!(!judge.hold(&["no certificate".to_owned()]));
        assert!(judge.observe(Ok(())), "the first report");
        assert_eq!(judge.report().healthy, Err("the proxy is not ready: no certificate".to_owned()));
        assert!(judge.hold(&[]));
        assert_eq!(judge.report(), &Report { healthy: Ok(()), sequence: 2 });
        assert!(judge.hold(&["Envoy is draining".to_owned()]));
        assert!(!judge.hold(&["Envoy is not running".to_owned()]), "another reason is no news");
    }

    #[test]
    fn a_restarted_agent_goes_on_and_a_restarted_machine_begins_anew() {
        let last = Report { healthy: Ok(()), sequence: 7 };
        let agent = Judge::new(Timing::default(), Some(last.clone()), true);
        assert_eq!(agent.report(), &last);
        let machine = Judge::new(Timing::default(), Some(last), false);
        assert_eq!(machine.report().sequence, 8);
        assert!(machine.report().healthy.is_err());
    }

    proptest! {
        #![proptest_config(crate::testing::many())]

        /// The verdict is that of the last row that was long enough; numbers grow by one, and exactly when the verdict turns.
        #[test]
        fn the_last_long_enough_row_decides(
            success in 1..4u32, failure in 1..4u32, outcomes in prop::collection::vec(any::<bool>(), 0..24),
        ) {
            let mut judge = judge(success, failure);
            for end in 1..=outcomes.len() {
                let before = judge.report().clone();
                let news = judge.observe(outcome(outcomes[end - 1]));
                let expected = verdict(&outcomes[..end], success, failure);
                let now = judge.report();
                prop_assert_eq!(expected.is_some(), now.sequence > 0);
                prop_assert_eq!(expected.unwrap_or(false), now.healthy.is_ok());
                let turned = expected.is_some() && (before.sequence == 0 || before.healthy.is_ok() != now.healthy.is_ok());
                prop_assert_eq!(news, turned);
                prop_assert_eq!(now.sequence, before.sequence + u64::from(turned));
            }
        }
    }

    /// The definition: going back, the first row that is long enough.
    fn verdict(outcomes: &[bool], success: u32, failure: u32) -> Option<bool> {
        (0..outcomes.len()).rev().find_map(|end| {
            let kind = outcomes[end];
            let row = outcomes[..=end].iter().rev().take_while(|outcome| **outcome == kind).count();
            let enough = if kind { success } else { failure };
            (row >= enough as usize).then_some(kind)
        })
    }
}
