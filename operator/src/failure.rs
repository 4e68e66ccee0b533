//! Why a reconciliation did not get through: what becomes a condition, an Event and a metric's label.

use kube::core::Status;
use std::time::Duration;

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
        let (reason, retry, fix) = match error {
            kube::Error::Api(status) => of_answer(status),
            _ => ("ApiServerUnreachable", Retry::Soon, "it is tried again"),
        };
        let what = match error {
            kube::Error::Api(status) => status.message.clone(),
            error => error.to_string(),
        };
        Self { reason, message: format!("cannot {doing}: {what}; {fix}"), retry }
    }

    /// How long to wait before the next attempt, after so many that failed: from 0.5 s to a minute, or from half a minute to five.
    /// At most half of it is by chance, so that several do not come at once. `None`: not before something changes.
    pub(crate) fn delay(&self, failures: u32, chance: f64) -> Option<Duration> {
        let (first, most) = match self.retry {
            Retry::Soon => (0.5, 60.0),
            Retry::Later => (30.0, 300.0),
            Retry::OnChange => return None,
        };
        let longest = f64::min(first * f64::from(1u32 << failures.min(16)), most);
        Some(Duration::from_secs_f64(longest * (0.5 + 0.5 * chance.clamp(0.0, 1.0))))
    }
}

/// The API server answered, and refused.
fn of_answer(status: &Status) -> (&'static str, Retry, &'static str) {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let caused = |by: &str| causes.clone().any(|cause| cause.reason == by);
    match status.code {
        403 if caused("NamespaceTerminating") => {
            ("NamespaceTerminating", Retry::Later, "wait until the namespace is gone, then make it again")
        }
        403 => ("MissingPermission", Retry::Later, "grant it to the operator: the chart's roles have it"),
        404 if status.message.starts_with("namespaces ") => {
            ("NamespaceMissing", Retry::Later, "make it: kubectl create namespace")
        }
        404 => ("NotFound", Retry::Later, "install what serves it"),
        409 if caused("FieldManagerConflict") => {
            ("ForeignObject", Retry::Later, "an object of this name is somebody else's: delete or rename it")
        }
        409 => ("Conflict", Retry::Soon, "it is tried again"),
        400 | 422 => ("Rejected", Retry::Later, "correct what the installation says of it"),
        401 => ("Unauthorized", Retry::Later, "give the operator a valid token"),
        _ => ("ApiServerFailed", Retry::Soon, "it is tried again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn answered(code: u16, message: &str, cause: &str) -> Failure {
        let cause = StatusCause { reason: cause.to_owned(), message: String::new(), field: String::new() };
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![cause],
            retry_after_seconds: 0,
        };
        let status = Status { code, message: message.to_owned(), details: Some(details), ..Status::default() };
        Failure::of_call("apply Deployment a/b", &kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn refusals_say_what_to_do() {
        let forbidden = answered(403, "deployments.apps \"b\" is forbidden: User \"x\" cannot patch resource", "");
        assert_eq!((forbidden.reason, forbidden.retry), ("MissingPermission", Retry::Later));
        assert!(forbidden.message.contains("cannot patch resource"), "the rule is named: {forbidden}");
        for (code, message, cause, reason) in [
            (403, "forbidden", "NamespaceTerminating", "NamespaceTerminating"),
            (404, "namespaces \"a\" not found", "", "NamespaceMissing"),
            (404, "the server could not find the requested resource", "", "NotFound"),
            (409, "Apply failed with 1 conflict", "FieldManagerConflict", "ForeignObject"),
            (409, "the object has been modified", "", "Conflict"),
            (422, "spec.replicas: Invalid value", "", "Rejected"),
            (500, "etcd", "", "ApiServerFailed"),
        ] {
            assert_eq!(answered(code, message, cause).reason, reason, "{code} {message}");
        }
    }

    #[test]
    fn attempts_come_ever_later_and_never_all_at_once() {
        let failure = |retry| Failure { reason: "A", message: String::new(), retry };
        let seconds = |retry, failures, chance| failure(retry).delay(failures, chance).map(|d| d.as_secs_f64());
        assert_eq!(seconds(Retry::Soon, 0, 0.0), Some(0.25));
        assert_eq!(seconds(Retry::Soon, 0, 1.0), Some(0.5));
        assert_eq!(seconds(Retry::Soon, 3, 1.0), Some(4.0));
        assert_eq!(seconds(Retry::Soon, u32::MAX, 1.0), Some(60.0));
        assert_eq!(seconds(Retry::Later, 0, 1.0), Some(30.0));
        assert_eq!(seconds(Retry::Later, 99, 0.0), Some(150.0));
        assert_eq!(seconds(Retry::OnChange, 0, 1.0), None);
    }
}
