use super::*;
use crate::{
    kinds,
    metrics::Metrics,
    scripted::{Api, Fails},
};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::DropGuard;

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
    let (undefined, unread, unlisted, failing) = (Api::default(), Api::default(), Api::default(), Api::default());
    unread.fail("/customresourcedefinitions", Fails::With(503));
    for api in [&unlisted, &failing] {
        api.define();
        api.put(&format!("{MESH}/meshrevisiontags"), named("default", None));
    }
    unlisted.fail("/meshrevisions?", Fails::Never);
    failing.fail("/meshrevisiontags/default", Fails::With(503));
    for (why, api) in [("undefined", undefined), ("unread", unread), ("unlisted", unlisted), ("failing", failing)] {
        let stop = CancellationToken::new();
        let lead = tokio::spawn(crate::app::lead(context(&api), stop.clone()));
        sleep(LATER).await;
        assert!(!lead.is_finished(), "{why}");
        stop.cancel();
        tokio::time::timeout(LATER, lead).await.expect(why).unwrap();
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
