//! What to do about a Lease. Pure: time is passed in.

use super::LeaseConfig;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use std::time::Duration;
use tokio::time::Instant;

/// What to do about a Lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// There is none: make it.
    Create,
    /// It is free, or has expired: take it over.
    Take,
    /// It is ours: renew it.
    Renew,
    /// Somebody else's: look again after this.
    Wait(Duration),
}

/// When a Lease was last seen to change, by the clock of whoever looks.
#[derive(Clone, Debug)]
pub struct Observation {
    spec: LeaseSpec,
    changed: Instant,
}

impl Observation {
    /// Takes in what is seen now. The first look counts as a change: nobody knows how old it is.
    pub fn see(last: Option<Self>, spec: &LeaseSpec, now: Instant) -> Self {
        match last {
            Some(last) if last.spec == *spec => last,
            _ => Self { spec: spec.clone(), changed: now },
        }
    }
}

/// What `identity` does about a Lease. `None` where there is none.
pub fn decide(observed: Option<&Observation>, now: Instant, identity: &str, config: &LeaseConfig) -> Action {
    let Some(Observation { spec, changed }) = observed else { return Action::Create };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if holder.is_empty() {
        return Action::Take;
    }
    if holder == identity {
        return Action::Renew;
    }
    // What the holder promised counts, whatever is configured here.
    let promised = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|s| *s > 0);
    let good_for = promised.map_or(config.duration, Duration::from_secs);
    match (*changed + good_for).checked_duration_since(now) {
        None | Some(Duration::ZERO) => Action::Take,
        Some(left) => Action::Wait(left.min(config.retry)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};

    fn spec(holder: Option<&str>, duration: Option<i32>, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: duration,
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_where_it_is_free_ours_or_has_not_changed_for_as_long_as_it_is_good_for() {
        let (began, config) = (Instant::now(), LeaseConfig::default());
        let wait = |ms| Action::Wait(Duration::from_millis(ms));
        for (spec, age_ms, expected) in [
            (spec(None, Some(15), 0), 0, Action::Take),
            (spec(Some(""), Some(15), 0), 0, Action::Take),
            (spec(Some("me"), Some(15), 0), 0, Action::Renew),
            (spec(Some("me"), Some(15), 0), 60_000, Action::Renew),
            // Long past by its own words: that is another clock's word.
            (spec(Some("other"), Some(15), 0), 0, wait(2000)),
            (spec(Some("other"), Some(15), i64::from(u32::MAX)), 14_000, wait(1000)),
            (spec(Some("other"), Some(15), i64::from(u32::MAX)), 15_000, Action::Take),
            (spec(Some("other"), Some(3), 0), 3_000, Action::Take),
            (spec(Some("other"), Some(60), 0), 15_000, wait(2000)),
            (spec(Some("other"), None, 0), 14_999, wait(1)),
            (spec(Some("other"), Some(-1), 0), 15_000, Action::Take),
        ] {
            let observed = Observation::see(None, &spec, began);
            let now = began + Duration::from_millis(age_ms);
            assert_eq!(decide(Some(&observed), now, "me", &config), expected, "{spec:?} after {age_ms} ms");
        }
        assert_eq!(decide(None, began, "me", &config), Action::Create);
    }

    #[test]
    fn each_change_that_is_seen_begins_the_wait_anew() {
        let (began, config) = (Instant::now(), LeaseConfig::default());
        let later = began + Duration::from_secs(14);
        let first = Observation::see(None, &spec(Some("other"), Some(15), 1), began);
        let same = Observation::see(Some(first.clone()), &spec(Some("other"), Some(15), 1), later);
        let renewed = Observation::see(Some(first), &spec(Some("other"), Some(15), 2), later);
        let end = began + Duration::from_secs(15);
        assert_eq!(decide(Some(&same), end, "me", &config), Action::Take);
        assert!(matches!(decide(Some(&renewed), end, "me", &config), Action::Wait(_)));
    }
}
