use crate::api::Server;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use tombolo_kubernetes::apply::Applier;

const PATH: &str = "/api/v1/namespaces/mesh/configmaps/root";

fn config_maps() -> ApiResource {
    ApiResource::erase::<ConfigMap>(&())
}

fn live(server: &Server) -> Option<DynamicObject> {
    server.state().objects.get(PATH).map(|live| serde_json::from_value(live.clone()).unwrap())
}

/// Applies to what is there. Returns whether that changed it, and whether it was written at all.
async fn apply(server: &Server, applier: &Applier, data: Value) -> (bool, bool) {
    let wanted = json!({"metadata": {"name": "root", "namespace": "mesh", "labels": {"owner": "us"}}, "data": data});
    let (before, writes) = (live(server), server.writes());
    let after = applier.apply(&config_maps(), &wanted, before.as_ref(), true).await.unwrap();
    let version = |object: &DynamicObject| object.metadata.resource_version.clone();
    (before.as_ref().map(version) != Some(version(&after)), server.writes() > writes)
}

const CHANGED: (bool, bool) = (true, true);
const LEFT: (bool, bool) = (false, false);

#[tokio::test]
async fn what_is_as_wanted_is_not_written() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    assert_eq!(apply(&server, &applier, json!({"a": "1", "b": null})).await, CHANGED);
    assert_eq!(apply(&server, &applier, json!({"a": "1"})).await, LEFT);
    assert_eq!(apply(&server, &applier, json!({"a": "2", "c": "3"})).await, CHANGED);
    assert_eq!(apply(&server, &applier, json!({"a": "2"})).await, CHANGED);
    assert_eq!(server.state().objects[PATH]["data"], json!({"a": "2"}), "what is not applied any more is gone");
    // After a restart.
    let applier = Applier::new(server.client(), "us");
    assert_eq!(apply(&server, &applier, json!({"a": "2"})).await, LEFT);
}

#[tokio::test]
async fn a_value_that_the_api_server_writes_otherwise_is_no_difference() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    assert_eq!(apply(&server, &applier, json!({"cpu": 1})).await, CHANGED);
    assert_eq!(server.state().objects[PATH]["data"]["cpu"], "1");
    assert_eq!(apply(&server, &applier, json!({"cpu": 1})).await, LEFT);
    // After a restart it is applied once more, which changes nothing, and then no more.
    let applier = Applier::new(server.client(), "us");
    assert_eq!(apply(&server, &applier, json!({"cpu": 1})).await, (false, true));
    assert_eq!(apply(&server, &applier, json!({"cpu": 1})).await, LEFT);
}

#[tokio::test]
async fn a_field_of_ours_is_put_back_and_those_of_others_are_left() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    apply(&server, &applier, json!({"a": "1"})).await;
    let mut live = server.state().objects[PATH].clone();
    live["data"]["theirs"] = "x".into();
    server.state().put(PATH, live.clone());
    assert_eq!(apply(&server, &applier, json!({"a": "1"})).await, LEFT);
    live["data"]["a"] = "forced".into();
    server.state().put(PATH, live);
    assert_eq!(apply(&server, &applier, json!({"a": "1"})).await, CHANGED);
    assert_eq!(server.state().objects[PATH]["data"], json!({"a": "1", "theirs": "x"}));
}

#[tokio::test]
async fn what_was_deleted_and_forgotten_is_made_again() {
    let server = Server::default();
    let applier = Applier::new(server.client(), "us");
    apply(&server, &applier, json!({"a": "1"})).await;
    server.state().objects.clear();
    applier.forget(&config_maps(), "mesh", "root");
    assert_eq!(apply(&server, &applier, json!({"a": "1"})).await, CHANGED);
}
