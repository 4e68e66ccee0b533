use super::*;
use crate::{
    kinds,
    metrics::Metrics,
    proxies::Count,
    scripted::{Api, Fails},
};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::DropGuard;
use tombolo_api::mesh::ProxyCounts;

const LATER: Duration = Duration::from_secs(60);

#[test]
fn an_owner_without_a_namespace_has_none() {
    let owner = json!({"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": "MeshRevision", "name": "a", "uid": "1"});
    let object = json!({"metadata": {"name": "s", "namespace": "n", "ownerReferences": [owner]}});
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let expected = ObjectRef::new_with("a", kinds::REVISION.resource());
    assert_eq!(owners(&object, kinds::REVISION), [expected]);
    assert_eq!(owners(&object, kinds::TAG), []);
}

const MESH: &str = "/apis/mesh.tombolo.dev/v1alpha1";

fn context(api: &Api) -> Arc<Context> {
    let namespaces = vec!["tombolo-system".to_owned(), "other".to_owned()];
    Arc::new(Context::new(api.client(), "me".to_owned(), namespaces, "r".to_owned(), Metrics::default()))
}

/// An operator that leads, of an API server with definitions; it ends when this is dropped.
fn lead(api: &Api) -> (Arc<Context>, DropGuard) {
    let (context, stop) = (context(api), CancellationToken::new());
    tokio::spawn(crate::app::lead(context.clone(), stop.clone()));
    (context, stop.drop_guard())
}

fn asked(api: &Api, part: &str) -> usize {
    api.asked().iter().filter(|asked| asked.contains(part)).count()
}

fn named(name: &str, owner: Option<&str>) -> serde_json::Value {
    let owned_by = |name| json!([{"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": "MeshInstallation", "name": name, "uid": name}]);
    json!({"metadata": {"name": name, "uid": name, "ownerReferences": owner.map(owned_by)}})
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_anothers_tag_or_revision_is_reconciled_when_that_goes() {
    for (collection, name) in [("meshrevisiontags", "default"), ("meshrevisions", "b")] {
        let api = Api::default();
        api.define();
        api.put(&format!("{MESH}/meshinstallations"), named("a", None));
        api.put(&format!("{MESH}/meshinstallations"), named("b", None));
        api.put(&format!("{MESH}/{collection}"), named(name, Some("a")));
        let (_context, _stop) = lead(&api);
        sleep(LATER).await;
        let before = asked(&api, "/meshinstallations/b");
        sleep(LATER).await;
        assert_eq!(asked(&api, "/meshinstallations/b"), before, "it waits for a change: {:#?}", api.written());
        api.delete(&format!("{MESH}/{collection}"), name);
        sleep(LATER).await;
        assert!(asked(&api, "/meshinstallations/b") > before, "{collection}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_went_while_nobody_saw_it_wakes_whom_it_concerns() {
    let api = Api::default();
    api.define();
    let unknown = json!({"metadata": {"name": "a", "uid": "a"}, "spec": {"version": "99.0.0"}});
    api.put(&format!("{MESH}/meshrevisions"), unknown);
    let owner = json!([{"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": "MeshRevision", "name": "a", "uid": "a"}]);
    let services = "/api/v1/namespaces/other/services";
    let labels = json!({"app.kubernetes.io/managed-by": "tombolo-operator"});
    api.put(services, json!({"metadata": {"name": "s", "namespace": "other", "uid": "s", "labels": labels, "ownerReferences": owner}}));
    let tags = format!("{MESH}/meshrevisiontags");
    api.put(&tags, named("gone", None));
    let (context, _stop) = lead(&api);
    sleep(LATER).await;
    assert_eq!(context.failures(kinds::TAG, "gone"), 1, "it has no targets");
    let before = asked(&api, "/meshrevisions/a");
    sleep(LATER).await;
    assert_eq!(asked(&api, "/meshrevisions/a"), before, "it waits for a change: {:#?}", api.written());
    api.forget(services, "s");
    sleep(LATER).await;
    assert!(asked(&api, "/meshrevisions/a") > before);
    api.forget(&tags, "gone");
    sleep(LATER).await;
    assert_eq!(context.failures(kinds::TAG, "gone"), 0, "nothing is remembered of it");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_keeps_no_other_waiting() {
    let api = Api::default();
    api.define();
    api.put(&format!("{MESH}/meshinstallations"), named("b", None));
    api.put(&format!("{MESH}/meshrevisiontags"), named("default", Some("a")));
    for failing in ["/gatewayclasses?", "/meshrevisions?", "/namespaces/other/"] {
        api.fail(failing, Fails::With(403));
    }
    let (_context, _stop) = lead(&api);
    sleep(LATER).await;
    let before = asked(&api, "/meshinstallations/b");
    api.delete(&format!("{MESH}/meshrevisiontags"), "default");
    sleep(Duration::from_millis(300)).await;
    assert!(asked(&api, "/meshinstallations/b") > before);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_defined_is_not_watched_until_it_is() {
    let api = Api::default();
    let (_context, _stop) = lead(&api);
    sleep(LATER).await;
    for plural in ["gatewayclasses?", "meshinstallations?", "meshrevisions?"] {
        assert_eq!(asked(&api, plural), 0, "{:#?}", api.asked());
    }
    assert!(asked(&api, "/configmaps?") > 0, "Kubernetes' own are");
    api.define();
    api.announce(crate::scripted::DEFINITIONS);
    sleep(LATER).await;
    for plural in ["gatewayclasses?", "meshinstallations?", "meshrevisions?"] {
        assert!(asked(&api, plural) > 0, "{plural}: {:#?}", api.asked());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_of_an_object_that_is_gone() {
    let api = Api::default();
    api.define();
    let tags = format!("{MESH}/meshrevisiontags");
    api.put(&tags, named("default", None));
    let (context, _stop) = lead(&api);
    sleep(LATER).await;
    assert_eq!(context.failures(kinds::TAG, "default"), 1, "it has no targets");
    context.failed(kinds::VALIDATING_WEBHOOK, "default");
    api.delete(&tags, "default");
    sleep(LATER).await;
    let failures = [kinds::TAG, kinds::VALIDATING_WEBHOOK].map(|kind| context.failures(kind, "default"));
    assert_eq!(failures, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_is_counted() {
    let (api, stop) = (Api::default(), CancellationToken::new());
    api.define();
    for number in 0..6 {
        api.put(&format!("{MESH}/meshrevisiontags"), named(&format!("t{number}"), None));
    }
    api.fail("/meshrevisiontags/", Fails::Never);
    let context = context(&api);
    let lead = tokio::spawn(crate::app::lead(context.clone(), stop));
    sleep(LATER / 4).await; // whoever gets no answer has not given up
    let value = |name| context.metrics.value(name, kinds::TAG);
    let counts = ["reconciling", "queue_depth", "queue_duration_seconds_count"];
    assert_eq!(counts.map(value), [4.0, 2.0, 4.0], "so many are reconciled at once, and nobody answers");
    lead.abort();
    lead.await.unwrap_err();
    assert_eq!(value("queue_depth"), 0.0, "who does not lead has no queue");
}

#[tokio::test(start_paused = true)]
async fn whose_turn_has_come_does_not_wait() {
    let api = Api::default();
    api.define();
    api.put(&format!("{MESH}/meshrevisiontags"), named("default", None));
    let (context, _stop) = lead(&api);
    sleep(LATER).await;
    let value = |name| context.metrics.value(name, kinds::TAG);
    assert_eq!(["queue_depth", "queue_duration_seconds_count"].map(value), [0.0, 1.0]);
    api.delete(&format!("{MESH}/meshrevisiontags"), "default");
    sleep(LATER).await;
    assert_eq!(["queue_depth", "queue_duration_seconds_count"].map(value), [0.0, 2.0], "nor does one that is gone");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reconciled_before_definitions_were_looked_at() {
    let api = Api::default();
    api.define();
    api.put(&format!("{MESH}/meshrevisiontags"), named("default", None));
    let read = "/customresourcedefinitions/meshinstallations";
    api.fail(read, Fails::Never);
    let (_context, _stop) = lead(&api);
    sleep(LATER).await;
    assert_eq!(asked(&api, "/meshrevisiontags/default"), 0);
    let api = Api::default();
    api.define();
    api.put(&format!("{MESH}/meshrevisiontags"), named("default", None));
    api.fail(read, Fails::With(403));
    let (_context, _stop) = lead(&api);
    sleep(LATER).await;
    assert!(asked(&api, "/meshrevisiontags/default") > 0, "what cannot be had is not waited for");
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_told_to_stop_whatever_it_waits_for() {
    let [undefined, unread, unanswered, unlisted, failing, hanging] = std::array::from_fn(|_| Api::default());
    unread.fail("/customresourcedefinitions", Fails::With(503));
    unanswered.fail("/customresourcedefinitions/meshinstallations", Fails::Never);
    for api in [&unlisted, &failing, &hanging] {
        api.define();
        api.put(&format!("{MESH}/meshrevisiontags"), named("default", None));
    }
    unlisted.fail("/meshrevisions?", Fails::Never);
    failing.fail("/meshrevisiontags/default", Fails::With(503));
    hanging.fail("/meshrevisiontags/default", Fails::Never);
    for (why, api) in [
        ("undefined", undefined),
        ("unread", unread),
        ("unanswered", unanswered),
        ("unlisted", unlisted),
        ("failing", failing),
        ("hanging", hanging),
    ] {
        let stop = CancellationToken::new();
        let lead = tokio::spawn(crate::app::lead(context(&api), stop.clone()));
        sleep(LATER / 4).await; // whoever gets no answer has not given up
        assert!(!lead.is_finished(), "{why}");
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), lead).await.expect(why).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_wakes_whoever_looks_on_and_not_whoever_writes_it() {
    let api = Api::default();
    api.define();
    api.put(&format!("{MESH}/meshinstallations"), named("a", None));
    api.put(&format!("{MESH}/meshrevisions"), named("a", Some("a")));
    let (_context, _stop) = lead(&api);
    // What fails is tried again now and then: it is counted soon after.
    let woken = async |collection: &str| {
        sleep(10 * LATER).await;
        let count = || ["installations", "revisions"].map(|kind| asked(&api, &format!("{MESH}/mesh{kind}/a")));
        let before = count();
        api.change(&format!("{MESH}/{collection}"), "a", |object| object["status"] = json!({"replicas": before[0]}));
        sleep(Duration::from_millis(500)).await;
        let after = count();
        [after[0] > before[0], after[1] > before[1]]
    };
    assert!(!woken("meshinstallations").await[0]);
    assert!(woken("meshrevisions").await[0]);
}

#[tokio::test(start_paused = true)]
async fn how_many_proxies_are_connected_is_told_of_whoever_has_counted_it() {
    let api = Api::default();
    api.define();
    let spec = json!({"namespace": "other", "version": crate::release::OWN});
    for (kind, owner) in [("meshinstallations", None), ("meshrevisions", Some("a"))] {
        let mut object = named("a", owner);
        object["spec"] = spec.clone();
        api.put(&format!("{MESH}/{kind}"), object);
    }
    let (context, _stop) = lead(&api);
    let status = |of: &str| {
        let path = format!("PATCH {MESH}/{of}/a/status");
        let last = api.written().into_iter().rfind(|(what, _)| *what == path);
        last.map(|(_, body)| body["status"].clone()).unwrap()
    };
    let told = || status("meshinstallations")["revisions"][0]["proxies"].clone();
    sleep(LATER / 2).await; // between two counts
    assert_eq!(told(), json!({"gateways": 0, "sidecars": 0, "virtualMachines": 0}), "it has no pods");
    let proxies = ProxyCounts { gateways: 2, ..ProxyCounts::default() };
    let count = Count { proxies, complete: true, unknown: false };
    context.proxies.send_replace([("a".to_owned(), count)].into());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(told()["gateways"], 2);
    let conditions = status("meshrevisions")["conditions"].as_array().unwrap().clone();
    assert!(conditions.iter().any(|condition| condition["reason"] == "Connected"), "{conditions:#?}");
}

#[tokio::test(start_paused = true)]
async fn who_leads_again_begins_anew() {
    let api = Api::default();
    api.define();
    let tags = format!("{MESH}/meshrevisiontags");
    api.put(&tags, named("gone", None));
    let context = context(&api);
    let lead = || crate::app::lead(context.clone(), CancellationToken::new());
    tokio::time::timeout(LATER, lead()).await.unwrap_err();
    assert_eq!(context.failures(kinds::TAG, "gone"), 1, "it has no targets");
    api.delete(&tags, "gone");
    api.fail("/customresourcedefinitions/meshinstallations", Fails::Never);
    tokio::time::timeout(LATER, lead()).await.unwrap_err();
    assert_eq!(context.failures(kinds::TAG, "gone"), 0, "somebody else saw it go");
    assert!(!context.definitions.borrow().is_known(), "they were not looked at again");
}
