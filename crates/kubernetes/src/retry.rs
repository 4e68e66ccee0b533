//! What an error of a client means, and how long to wait before the next try.

use kube::core::Status;
use std::time::Duration;

/// What an error of a client means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Somebody else wrote first (409): look again, then try at once.
    Conflict,
    /// Another field manager owns what was to be applied (409).
    Foreign,
    /// The object, or its kind, is not there (404, 410).
    NotFound,
    /// The namespace is not there (404).
    NamespaceMissing,
    /// The namespace is being deleted: nothing new can be made in it.
    Terminating,
    /// RBAC says no, or the token counts no more (401, 403).
    Forbidden,
    /// Whoever asked may ask, and what he wrote is refused: by a quota, by Pod Security, by an admission policy (403).
    Refused,
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
        let caused = |by: &str| details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == by));
        match status.code {
            409 if caused("FieldManagerConflict") => Self::Foreign,
            409 => Self::Conflict,
            404 if status.message.starts_with("namespaces ") => Self::NamespaceMissing,
            404 | 410 => Self::NotFound,
            403 if caused("NamespaceTerminating") => Self::Terminating,
            403 if !is_for_lack_of_permission(&status.message) => Self::Refused,
            401 | 403 => Self::Forbidden,
            429 => {
                let seconds = details.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
                Self::Throttled(seconds.map(|seconds| Duration::from_secs(seconds.into())))
            }
            400..=499 => Self::Invalid,
            _ => Self::Unavailable,
        }
    }

    /// One word for conditions, metrics and Events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Conflict => "Conflict",
            Self::Foreign => "ForeignObject",
            Self::NotFound => "NotFound",
            Self::NamespaceMissing => "NamespaceMissing",
            Self::Terminating => "NamespaceTerminating",
            Self::Forbidden => "MissingPermission",
            Self::Refused => "Refused",
            Self::Invalid => "Rejected",
            Self::Throttled(_) => "Throttled",
            Self::Unavailable => "ApiServerUnavailable",
        }
    }

    /// What people can do about it.
    pub fn fix(self) -> &'static str {
        match self {
            Self::Conflict => "it is tried again with the newer version",
            Self::Foreign => "an object of this name is somebody else's: delete or rename it",
            Self::NotFound => "install what serves its kind, if it should be there",
            Self::NamespaceMissing => "make it: kubectl create namespace",
            Self::Terminating => "wait until the namespace is gone and make it again, or use another one",
            Self::Forbidden => {
                "grant the verb and resource it names to the ServiceAccount: the chart's roles have them"
            }
            Self::Refused => "change what is asked for, or the quota or policy it names",
            Self::Invalid => "change the field it names",
            Self::Throttled(_) | Self::Unavailable => "it is tried again; if it stays so, look at the API server",
        }
    }

    /// True where nothing will change before somebody changes something.
    pub fn needs_people(self) -> bool {
        match self {
            Self::Foreign | Self::NamespaceMissing | Self::Terminating => true,
            Self::Forbidden | Self::Refused | Self::Invalid => true,
            Self::Conflict | Self::NotFound | Self::Throttled(_) | Self::Unavailable => false,
        }
    }

    fn pace(self) -> Pace {
        if self.needs_people() { Pace::Late } else { Pace::Soon }
    }
}

/// What the API server says where RBAC does not permit a call: `User "x" cannot patch resource "pods" ...`, or `cannot get path`;
/// and where a role would hand out what its author does not have. What admission refuses is 403 as well, in other words.
fn is_for_lack_of_permission(message: &str) -> bool {
    let cannot = message.split(" cannot ").skip(1);
    cannot.filter_map(|rest| rest.split(' ').nth(1)).any(|what| ["resource", "path"].contains(&what))
        || message.contains("attempting to grant RBAC permissions not currently held")
}

/// How fast attempts follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The API server is away or busy: from half a second to half a minute.
    Soon,
    /// Somebody must change something first: from half a minute to ten.
    Late,
}

impl Pace {
    /// First and longest wait.
    fn bounds(self) -> (Duration, Duration) {
        match self {
            Self::Soon => (Duration::from_millis(500), Duration::from_secs(30)),
            Self::Late => (Duration::from_secs(30), Duration::from_secs(600)),
        }
    }

    /// How long to wait after one more failure, given how many there were before it in a row: twice as long each time up to a bound,
    /// and between half of that and all of it, so that many do not try in step.
    pub fn wait(self, earlier: u32) -> Duration {
        self.wait_with(earlier, fastrand::f64())
    }

    fn wait_with(self, earlier: u32, jitter: f64) -> Duration {
        let (first, longest) = self.bounds();
        jittered(first.saturating_mul(2u32.saturating_pow(earlier)).min(longest), jitter)
    }
}

fn jittered(full: Duration, jitter: f64) -> Duration {
    full.mul_f64(0.5 + 0.5 * jitter)
}

/// How long to wait after failures in a row of one thing: see [`Pace::wait`].
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
        let (first, longest) = failure.pace().bounds();
        match failure {
            Failure::Conflict if earlier == 0 => Duration::ZERO,
            // At least what was asked for.
            Failure::Throttled(Some(asked)) => jittered(asked.min(longest).max(first) * 2, jitter),
            _ => failure.pace().wait_with(earlier, jitter),
        }
    }

    /// It worked: the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::StatusDetails;
    use serde_json::json;

    fn failure(code: u16, details: Option<StatusDetails>) -> Failure {
        let status = Status { code, details, ..Status::failure("no", "No") };
        Failure::of(&kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn an_answer_is_classified_by_its_code_and_details() {
        for (code, expected) in [
            (400, Failure::Invalid),
            (401, Failure::Forbidden),
            (403, Failure::Refused),
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
        let details = |details| serde_json::from_value(details).unwrap();
        let foreign = details(json!({"causes": [{"reason": "FieldManagerConflict"}]}));
        assert_eq!(failure(409, Some(foreign)), Failure::Foreign);
        let missing = Status { code: 404, ..Status::failure("namespaces \"a\" not found", "NotFound") };
        assert_eq!(Failure::of(&kube::Error::Api(Box::new(missing))), Failure::NamespaceMissing);
        let terminating = details(json!({"causes": [{"reason": "NamespaceTerminating"}]}));
        assert_eq!(failure(403, Some(terminating)), Failure::Terminating);
        let throttled = details(json!({"retryAfterSeconds": 7}));
        assert_eq!(failure(429, Some(throttled)), Failure::Throttled(Some(Duration::from_secs(7))));
    }

    #[test]
    fn a_refusal_is_for_lack_of_permission_where_the_api_server_says_so() {
        let of = |message: &str| {
            let status = Status { code: 403, ..Status::failure(message, "Forbidden") };
            Failure::of(&kube::Error::Api(Box::new(status)))
        };
        for message in [
            r#"pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "a""#,
            r#"forbidden: User "x" cannot get path "/openid/v1/jwks""#,
            r#"roles "b" is forbidden: user "x" (groups=["y"]) is attempting to grant RBAC permissions not currently held:"#,
        ] {
            assert_eq!(of(message), Failure::Forbidden, "{message}");
        }
        for message in [
            r#"pods "a" is forbidden: exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3"#,
            r#"pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true"#,
            r#"deployments "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: you cannot have more"#,
        ] {
            assert_eq!(of(message), Failure::Refused, "{message}");
            assert!(Failure::Refused.needs_people());
        }
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
            assert!(backoff.after(Failure::Unavailable) <= Pace::Soon.bounds().1);
        }
        backoff.reset();
        assert!(backoff.after(Failure::Unavailable) <= Pace::Soon.bounds().0);
    }
}
