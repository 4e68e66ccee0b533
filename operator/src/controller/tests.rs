use super::*;
use crate::{
    kinds,
    metrics::Metrics,
    revision::Revision,
    scripted::{Api, Fails},
};
use serde_json::{Value, json};
use tokio::time::Instant;

const REVISIONS: &str = "/apis/mesh.tombolo.dev/v1alpha1/meshrevisions";

/// An API server with a revision in the namespace `other`, and an operator that may install there.
fn revision() -> (Api, Arc<Context>) {
    let api = Api::default();
    let spec = json!({"namespace": "other", "version": crate::release::OWN});
    let metadata = json!({"name": "a", "uid": "uid-1", "generation": 1});
    api.put(REVISIONS, json!({"metadata": metadata, "spec": spec}));
    let namespaces = vec!["system".to_owned(), "other".to_owned()];
    let context = Context::new(api.client(), "me".to_owned(), namespaces, "r".to_owned(), Metrics::default());
    (api, Arc::new(context))
}

/// Reconciles it once, and returns the condition that was written.
async fn said(api: &Api, context: &Arc<Context>, about: &str) -> Option<(String, String, String)> {
    let before = api.written().len();
    let object = context.get(kinds::REVISION, "a").await.unwrap().unwrap().object;
    if let Err(failure) = reconcile::<Revision>(Arc::new(object.clone()), context.clone()).await {
        on_failure::<Revision>(Arc::new(object), &failure, context.clone());
    }
    let written = api.written().split_off(before);
    let statuses = written.iter().filter(|(what, _)| what.ends_with("/status"));
    let conditions: Vec<Value> =
        statuses.filter_map(|(_, body)| body["status"]["conditions"].as_array()).flatten().cloned().collect();
    let condition = conditions.into_iter().find(|condition| condition["type"] == about)?;
    Some(["status", "reason", "message"].map(|field| condition[field].as_str().unwrap().to_owned()).into())
}

#[tokio::test]
async fn what_does_not_help_itself_is_said_of_the_object() {
    let (api, context) = revision();
    api.fail("/namespaces/other/serviceaccounts", Fails::With(503));
    assert_eq!(said(&api, &context, "Ready").await, None);
    assert_eq!(said(&api, &context, "Ready").await, None);
    for _ in 0..2 {
        let (status, reason, message) = said(&api, &context, "Ready").await.unwrap();
        assert_eq!((&*status, &*reason), ("False", "ApiServerUnavailable"));
        assert!(message.contains("refused with 503"), "{message}");
    }
    api.recover("/namespaces/other/serviceaccounts");
    assert_eq!(said(&api, &context, "Ready").await.unwrap().1, "Updating");
    assert_eq!(context.failures(kinds::REVISION, "a"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_answered_is_given_up_and_said_if_it_lasts() {
    let (api, context) = revision();
    api.fail("/namespaces/other/serviceaccounts", Fails::Never);
    assert_eq!(said(&api, &context, "Ready").await, None);
    assert_eq!(said(&api, &context, "Ready").await, None);
    let (status, reason, message) = said(&api, &context, "Ready").await.unwrap();
    assert_eq!((&*status, &*reason), ("False", "ApiServerUnavailable"));
    assert!(
        message.starts_with("cannot reconcile MeshRevision a: the API server does not answer within 60 s"),
        "{message}"
    );
    api.fail("/meshrevisions/a/status", Fails::Never);
    let before = Instant::now();
    said(&api, &context, "Ready").await;
    assert!(before.elapsed() < 2 * A_RECONCILIATION, "that it cannot be told is given up too");
}

#[test]
fn what_was_ready_is_so_while_the_api_server_is_away() {
    let failure = |retry| Failure { reason: "A", message: String::new(), retry };
    let about = |verdicts: Vec<Verdict>| verdicts.into_iter().map(|verdict| verdict.about).collect::<Vec<_>>();
    assert_eq!(about(failed(&failure(Retry::Soon), true)), ["Degraded"]);
    assert_eq!(about(failed(&failure(Retry::Soon), false)), ["Ready", "Progressing", "Degraded"]);
    assert_eq!(about(failed(&failure(Retry::Later), true)), ["Ready", "Progressing", "Degraded"]);
}

#[tokio::test]
async fn where_a_namespace_goes_that_is_said_and_not_that_a_permission_is_missing() {
    for (namespace, expected) in [
        (None, "NamespaceMissing"),
        (Some(json!({"name": "other", "deletionTimestamp": "2026-01-01T00:00:00Z"})), "NamespaceTerminating"),
        (Some(json!({"name": "other"})), "MissingPermission"),
    ] {
        let (api, context) = revision();
        api.fail("/namespaces/other/", Fails::With(403));
        if let Some(metadata) = namespace {
            api.put("/api/v1/namespaces", json!({"metadata": metadata}));
        }
        let (_, reason, message) = said(&api, &context, "Degraded").await.unwrap();
        assert_eq!(reason, expected, "{message}");
    }
}

#[tokio::test]
async fn what_somebody_else_made_is_left_alone_and_said() {
    let (api, context) = revision();
    let services = "/api/v1/namespaces/other/services";
    let name = "tombolo-discovery-a";
    api.put(services, json!({"metadata": {"name": name, "namespace": "other", "uid": "theirs"}}));
    let (_, reason, message) = said(&api, &context, "Degraded").await.unwrap();
    assert_eq!(reason, "ForeignObject");
    assert!(message.contains("Service other/tombolo-discovery-a is somebody else's"), "{message}");
    assert!(api.written().iter().all(|(what, _)| *what != format!("PATCH {services}/{name}")));
}
