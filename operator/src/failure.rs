//! Why a reconciliation did not get through: what becomes a condition, an Event and a metric's label.

use std::time::Duration;
use tokio::time::timeout;
use tombolo_kubernetes::retry::{self, Pace};

/// How long a few calls to the API server may take. Its own limit for one is a minute, and a client has none: where what is between
/// them takes a call and drops it, there is never an answer.
pub(crate) const A_CALL: Duration = Duration::from_secs(30);
/// How long a whole reconciliation may take.
pub(crate) const A_RECONCILIATION: Duration = Duration::from_secs(60);

/// What stops a reconciliation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// One word in CamelCase.
    pub(crate) reason: &'static str,
    /// What is wrong, and what to do.
    pub(crate) message: String,
    /// Whether trying again can help.
    pub(crate) retry: Retry,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Somebody else was faster, or the API server is away.
    Soon,
    /// Somebody has to do something that is not seen here, such as to grant a permission.
    Later,
    /// Not before an object that is watched changes.
    OnChange,
}

/// What helps itself is nobody's concern, until it has failed so often in a row.
pub(crate) const LASTING: u32 = 3;

impl Failure {
    /// A mistake in an object that is watched.
    pub(crate) fn of_user(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry: Retry::OnChange }
    }

    /// A call to the API server that failed. `doing`: what was tried, as in "apply Deployment x/y".
    pub(crate) fn of_call(doing: &str, error: &kube::Error) -> Self {
        let failure = retry::Failure::of(error);
        let retry = match failure {
            retry::Failure::NotFound => Retry::Later,
            failure if failure.needs_people() => Retry::Later,
            _ => Retry::Soon,
        };
        let what = match error {
            kube::Error::Api(status) => status.message.clone(),
            error => tombolo_core::with_causes(error),
        };
        Self { reason: failure.reason(), message: format!("cannot {doing}: {what}; {}", failure.fix()), retry }
    }

    /// Calls to the API server that took too long. `doing`: as of a call that failed.
    fn of_silence(doing: &str, limit: Duration) -> Self {
        let (failure, seconds) = (retry::Failure::Unavailable, limit.as_secs());
        let message = format!("cannot {doing}: the API server does not answer within {seconds} s; {}", failure.fix());
        Self { reason: failure.reason(), message, retry: Retry::Soon }
    }

    /// A namespace is not there, or will not be.
    pub(crate) fn of_namespace(name: &str, failure: retry::Failure) -> Self {
        let what = if failure == retry::Failure::Terminating { "is being deleted" } else { "is not there" };
        let message = format!(
            "namespace {name} {what}, and with it what permits the operator to work there: {}, and upgrade the chart's release",
            failure.fix()
        );
        Self { reason: failure.reason(), message, retry: Retry::Later }
    }

    /// Whether it is to be said of an object, given how often in a row it was so before.
    pub(crate) fn is_told(&self, before: u32) -> bool {
        self.retry != Retry::Soon || before + 1 >= LASTING
    }

    /// How long to wait before the next attempt, after so many that failed. `None`: not before something changes.
    pub(crate) fn delay(&self, failures: u32) -> Option<Duration> {
        match self.retry {
            Retry::Soon => Some(Pace::Soon.wait(failures)),
            Retry::Later => Some(Pace::Late.wait(failures)),
            Retry::OnChange => None,
        }
    }
}

/// What comes of calls to the API server, which are given up after so long.
pub(crate) async fn within<T>(
    limit: Duration,
    doing: &str,
    calls: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(limit, calls).await.unwrap_or_else(|_| Err(Failure::of_silence(doing, limit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn answered(code: u16, message: &str) -> Failure {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        Failure::of_call("apply Deployment a/b", &kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn refusals_say_what_was_tried_and_what_to_do() {
        let forbidden = answered(403, "deployments.apps \"b\" is forbidden: User \"x\" cannot patch resource");
        assert_eq!((forbidden.reason, forbidden.retry), ("MissingPermission", Retry::Later));
        for part in ["cannot apply Deployment a/b", "cannot patch resource", "the chart's roles have them"] {
            assert!(forbidden.message.contains(part), "{forbidden}");
        }
        assert_eq!(answered(404, "the server could not find the requested resource").retry, Retry::Later);
        assert_eq!(answered(500, "etcd").retry, Retry::Soon);
    }

    #[test]
    fn what_does_not_help_itself_in_three_attempts_is_told() {
        let away = answered(500, "failed calling webhook");
        assert_eq!([0, 1, 2, 3].map(|before| away.is_told(before)), [false, false, true, true]);
        assert!(away.message.contains("failed calling webhook"));
        assert!(answered(422, "no").is_told(0));
    }

    #[test]
    fn a_quota_is_no_missing_permission() {
        let refused = answered(403, "pods \"b\" is forbidden: exceeded quota: few");
        assert_eq!((refused.reason, refused.retry), ("Refused", Retry::Later));
        assert!(!refused.message.contains("grant"), "{refused}");
    }

    #[test]
    fn a_users_mistake_waits_for_a_change() {
        assert_eq!(Failure::of_user("A", "").delay(0), None);
        assert!(answered(500, "etcd").delay(0) < answered(422, "no").delay(0));
    }
}
