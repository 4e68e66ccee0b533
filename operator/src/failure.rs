//! Why a reconciliation did not get through: what becomes a condition, an Event and a metric's label.

use std::time::Duration;
use tombolo_kubernetes::retry::{self, Pace};

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
            error => error.to_string(),
        };
        Self { reason: failure.reason(), message: format!("cannot {doing}: {what}; {}", failure.fix()), retry }
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
    fn a_users_mistake_waits_for_a_change() {
        assert_eq!(Failure::of_user("A", "").delay(0), None);
        assert!(answered(500, "etcd").delay(0) < answered(403, "no").delay(0));
    }
}
