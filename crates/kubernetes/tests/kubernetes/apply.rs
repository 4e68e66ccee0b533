use crate::api::Server;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Resource, api::ApiResource};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tombolo_kubernetes::apply::{Applier, Outcome, Prune, PruneError, Target};

const PATH: &str = "/api/v1/namespaces/mesh/configmaps/root";

fn wanted(data: &Value) -> Value {
    json!({"metadata": {"name": "root", "namespace": "mesh", "labels": {"owner": "us"}}, "data": data})
}

fn config_maps() -> ApiResource {
    ApiResource::erase::<ConfigMap>(&())
}

async fn apply(applier: &Applier, data: Value) -> Outcome {
    applier.apply_value(&config_maps(), wanted(&data)).await.unwrap()
}

#[tokio::test]
async fn what_is_as_wanted_is_not_written() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    assert_eq!(apply(&applier, json!({"a": "1", "b": null})).await, Outcome::Created);
    assert_eq!(apply(&applier, json!({"a": "1"})).await, Outcome::Unchanged);
    assert_eq!(server.writes(), 1);
    assert_eq!(apply(&applier, json!({"a": "2", "c": "3"})).await, Outcome::Changed);
    assert_eq!(apply(&applier, json!({"a": "2"})).await, Outcome::Changed);
    assert_eq!(server.state().objects[PATH]["data"], json!({"a": "2"}), "what is not applied any more is gone");
    // After a restart.
    let applier = Applier::new(server.client(), "us");
    assert_eq!(apply(&applier, json!({"a": "2"})).await, Outcome::Unchanged);
    assert_eq!(server.writes(), 3);
}

#[tokio::test]
async fn a_value_that_the_api_server_writes_otherwise_is_no_difference() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    assert_eq!(apply(&applier, json!({"cpu": 1})).await, Outcome::Created);
    assert_eq!(server.state().objects[PATH]["data"]["cpu"], "1");
    assert_eq!(apply(&applier, json!({"cpu": 1})).await, Outcome::Unchanged);
    assert_eq!(server.writes(), 1);
    // After a restart it is applied once more, which changes nothing, and then no more.
    let applier = Applier::new(server.client(), "us");
    for _ in 0..3 {
        assert_eq!(apply(&applier, json!({"cpu": 1})).await, Outcome::Unchanged);
    }
    assert_eq!(server.writes(), 2);
}

#[tokio::test]
async fn a_field_of_ours_is_put_back_and_those_of_others_are_left() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    apply(&applier, json!({"a": "1"})).await;
    let mut live = server.state().objects[PATH].clone();
    live["data"]["theirs"] = "x".into();
    server.state().put(PATH, live.clone());
    assert_eq!(apply(&applier, json!({"a": "1"})).await, Outcome::Unchanged);
    live["data"]["a"] = "forced".into();
    server.state().put(PATH, live);
    assert_eq!(apply(&applier, json!({"a": "1"})).await, Outcome::Changed);
    assert_eq!(server.state().objects[PATH]["data"], json!({"a": "1", "theirs": "x"}));
}

#[tokio::test]
async fn where_the_live_object_is_known_nothing_is_asked() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    let typed = |value: Value| serde_json::from_value::<ConfigMap>(value).unwrap();
    let wanted = typed(wanted(&json!({"a": "1"})));
    assert_eq!(applier.apply_over(&wanted, None).await.unwrap(), Outcome::Created);
    let live = typed(server.state().objects[PATH].clone());
    assert_eq!(applier.apply_over(&wanted, Some(&live)).await.unwrap(), Outcome::Unchanged);
    assert_eq!(server.state().asked.len(), 1);
}

#[tokio::test]
async fn what_is_not_wanted_goes_and_nothing_else() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    let object = |name: &str, owner: &str, deleted: bool| {
        let deleted = deleted.then_some("2026-01-01T00:00:00Z");
        json!({"metadata": {"name": name, "namespace": "mesh", "labels": {"owner": owner}, "deletionTimestamp": deleted}})
    };
    let path = |name: &str| format!("/api/v1/namespaces/mesh/configmaps/{name}");
    for (name, owner, deleted) in
        [("old", "us", false), ("kept", "us", false), ("going", "us", true), ("their", "them", false)]
    {
        server.state().put(&path(name), object(name, owner, deleted));
    }
    let resources = [config_maps()];
    let prune = Prune { resources: &resources, namespace: Some("mesh"), labels: "owner=us" };
    let target = |name: &str| Target {
        api_version: ConfigMap::api_version(&()).into(),
        kind: ConfigMap::kind(&()).into(),
        namespace: "mesh".into(),
        name: name.into(),
    };
    let keep = BTreeSet::from([target("kept")]);
    assert_eq!(applier.prune(&prune, &keep).await.unwrap(), [target("old")]);
    assert_eq!(applier.prune(&prune, &keep).await.unwrap(), []);
    let left: Vec<_> = server.state().objects.keys().cloned().collect();
    assert_eq!(left, ["going", "kept", "their"].map(path));
    let all = Prune { labels: " ", ..prune };
    assert!(matches!(applier.prune(&all, &keep).await, Err(PruneError::NoLabels)));
}

#[tokio::test]
async fn an_error_names_the_object_and_the_fix() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    let nameless = applier.apply_value(&config_maps(), json!({"metadata": {}})).await.unwrap_err();
    assert_eq!(nameless.to_string(), "ConfigMap cannot be applied: it has no metadata.name");
    let denied = kube::Client::new(
        tower::service_fn(|_: http::Request<kube::client::Body>| async {
            let body = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
                "message": "namespaces \"mesh\" is forbidden"});
            let body = kube::client::Body::from(body.to_string().into_bytes());
            http::Response::builder().status(403).body(body)
        }),
        "default",
    );
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "mesh"}})).unwrap();
    let error = Applier::new(denied, "us").apply(&namespace).await.unwrap_err().to_string();
    assert!(
        error.starts_with("Namespace mesh cannot be applied: ") && error.ends_with("to the ServiceAccount"),
        "{error}"
    );
}
