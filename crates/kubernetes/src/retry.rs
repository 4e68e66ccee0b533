//! What an error of a client means, and how long to wait before the next try.

use kube::core::Status;
use std::time::Duration;

/// First and longest wait where the API server is away or busy.
const SHORT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// First and longest wait where somebody must change something first.
const LONG: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// What an error of a client means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Somebody else wrote first (409): look again, then try at once.
    Conflict,
    /// The object, or its kind, is not there (404, 410).
    NotFound,
    /// The namespace is being deleted: nothing new can be made in it.
    Terminating,
    /// RBAC or an admission policy says no (401, 403).
    Forbidden,
    /// The object is not what the schema or a webhook accepts (400, 413, 422 and the like).
    Invalid,
    /// Too many requests (429); the API server may say how long to wait.
    Throttled(Option<Duration>),
    /// The API server failed, or could not be reached.
    Unavailable,
}

impl Failure {
    /// What this error means.
    pub fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            _ => Self::Unavailable,
        }
    }

    fn of_status(status: &Status) -> Self {
        let details = status.details.as_ref();
        let terminating =
            || details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"));
        match status.code {
            409 => Self::Conflict,
            404 | 410 => Self::NotFound,
            403 if terminating() => Self::Terminating,
            401 | 403 => Self::Forbidden,
            429 => {
                let seconds = details.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
                Self::Throttled(seconds.map(|seconds| Duration::from_secs(seconds.into())))
            }
            400..=499 => Self::Invalid,
            _ => Self::Unavailable,
        }
    }

    /// One word for metrics and Events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Conflict => "Conflict",
            Self::NotFound => "NotFound",
            Self::Terminating => "NamespaceTerminating",
            Self::Forbidden => "Forbidden",
            Self::Invalid => "Invalid",
            Self::Throttled(_) => "Throttled",
            Self::Unavailable => "Unavailable",
        }
    }

    /// What people can do about it.
    pub fn fix(self) -> &'static str {
        match self {
            Self::Conflict => "it is tried again with the newer version",
            Self::NotFound => "install its CustomResourceDefinition, or make its namespace, if it should be there",
            Self::Terminating => "wait until the namespace is gone and make it again, or use another one",
            Self::Forbidden => "grant the verb and resource it names to the ServiceAccount",
            Self::Invalid => "change the field it names",
            Self::Throttled(_) | Self::Unavailable => "it is tried again; if it stays so, look at the API server",
        }
    }

    /// True where nothing will change before somebody changes something.
    pub fn needs_people(self) -> bool {
        matches!(self, Self::Terminating | Self::Forbidden | Self::Invalid)
    }
}

/// How long to wait after failures in a row: each wait is twice the last one up to a bound, and between half of that and all of
/// it, so that many do not try in step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure. None after a conflict, at first: whoever wrote meanwhile has finished.
    pub fn after(&mut self, failure: Failure) -> Duration {
        self.after_with(failure, fastrand::f64())
    }

    fn after_with(&mut self, failure: Failure, jitter: f64) -> Duration {
        let earlier = self.failures;
        self.failures = earlier.saturating_add(1);
        let (first, longest) = if failure.needs_people() { LONG } else { SHORT };
        let full = match failure {
            Failure::Conflict if earlier == 0 => return Duration::ZERO,
            Failure::Throttled(Some(asked)) => asked.min(longest).max(first) * 2, // at least what was asked for
            _ => first.saturating_mul(2u32.saturating_pow(earlier)).min(longest),
        };
        full.mul_f64(0.5 + 0.5 * jitter)
    }

    /// It worked: the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn failure(code: u16, details: Option<StatusDetails>) -> Failure {
        let status = Status { code, details, ..Status::failure("no", "No") };
        Failure::of(&kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn an_answer_is_classified_by_its_code_and_details() {
        for (code, expected) in [
            (400, Failure::Invalid),
            (401, Failure::Forbidden),
            (403, Failure::Forbidden),
            (404, Failure::NotFound),
            (409, Failure::Conflict),
            (410, Failure::NotFound),
            (422, Failure::Invalid),
            (429, Failure::Throttled(None)),
            (500, Failure::Unavailable),
            (503, Failure::Unavailable),
        ] {
            assert_eq!(failure(code, None), expected, "{code}");
        }
        let cause = StatusCause { reason: "NamespaceTerminating".into(), message: String::new(), field: String::new() };
        let details = StatusDetails { causes: vec![cause], ..StatusDetails::default() };
        assert_eq!(failure(403, Some(details)), Failure::Terminating);
        let details = StatusDetails { retry_after_seconds: 7, ..StatusDetails::default() };
        assert_eq!(failure(429, Some(details)), Failure::Throttled(Some(Duration::from_secs(7))));
    }

    #[test]
    fn waits_double_up_to_a_bound_by_what_failed() {
        let waits = |failure, jitter| {
            let mut backoff = Backoff::default();
            [(); 12].map(|()| backoff.after_with(failure, jitter).as_millis())
        };
        assert_eq!(waits(Failure::Unavailable, 1.0)[..4], [500, 1000, 2000, 4000]);
        assert_eq!(waits(Failure::Unavailable, 0.0)[..4], [250, 500, 1000, 2000]);
        assert_eq!(waits(Failure::Unavailable, 1.0)[11], 30_000);
        assert_eq!(waits(Failure::Forbidden, 1.0)[0], 30_000);
        assert_eq!(waits(Failure::Invalid, 1.0)[11], 600_000);
        assert_eq!(waits(Failure::Conflict, 1.0)[..2], [0, 1000]);
        let asked = Failure::Throttled(Some(Duration::from_secs(7)));
        assert!(waits(asked, 0.0).into_iter().all(|wait| wait == 7_000));
    }

    #[test]
    fn a_success_begins_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..50 {
            assert!(backoff.after(Failure::Unavailable) <= SHORT.1);
        }
        backoff.reset();
        assert!(backoff.after(Failure::Unavailable) <= SHORT.0);
    }
}
