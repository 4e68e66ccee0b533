use super::*;
use crate::{
    metrics::Metrics,
    scripted::{Api, Fails},
};
use std::{collections::BTreeSet, future::Future};
use tokio::time::sleep;

const LATER: Duration = Duration::from_secs(60);

fn context(api: &Api) -> Arc<Context> {
    let namespaces = vec!["system".to_owned(), "other".to_owned()];
    Arc::new(Context::new(api.client(), "me".to_owned(), namespaces, "r".to_owned(), Metrics::default()))
}

/// One that has the namespaces where control planes may be.
fn api() -> Api {
    let api = Api::default();
    for name in ["system", "other"] {
        api.put(NAMESPACES, serde_json::json!({"metadata": {"name": name}}));
    }
    api
}

const NAMESPACES: &str = "/api/v1/namespaces";

fn begin(api: &Api) -> (Readiness, CancellationToken, impl Future<Output = ()> + use<>) {
    let (readiness, stop) = (Readiness::default(), CancellationToken::new());
    let settled = settle(context(api), readiness.clone(), stop.clone());
    (readiness, stop, settled)
}

/// All that is asked of an API server that answers.
async fn questions() -> Vec<String> {
    let api = Api::default();
    let (readiness, _, settled) = begin(&api);
    tokio::spawn(settled);
    sleep(LATER).await;
    assert_eq!(readiness.told(), Ok(()));
    api.asked()
}

#[tokio::test(start_paused = true)]
async fn each_question_keeps_it_from_being_ready_until_it_is_answered() {
    let questions = questions().await;
    for question in &questions {
        for how in [Fails::With(503), Fails::With(403), Fails::Never] {
            let api = api();
            api.fail(question, how);
            let (readiness, _stop, settled) = begin(&api);
            tokio::spawn(settled);
            sleep(LATER).await;
            readiness.told().expect_err(question);
            api.recover(question);
            sleep(LATER).await;
            assert_eq!(readiness.told(), Ok(()), "{question}");
            // What was answered is not asked again.
            let is_once = |asked: &String| asked != question && !asked.starts_with(&format!("{NAMESPACES}?"));
            let once: Vec<_> = api.asked().into_iter().filter(is_once).collect();
            assert_eq!(once.len(), questions.len() - 1, "{once:#?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_is_what_controllers_watch_and_the_definitions() {
    let questions = questions().await;
    let (defined, listed): (Vec<_>, Vec<_>) = questions.into_iter().partition(|asked| !asked.contains("limit=1"));
    let named = |(asked, name): (&String, &str)| asked.ends_with(&format!("/customresourcedefinitions/{name}"));
    assert!(defined.len() == definitions::names().count() && defined.iter().zip(definitions::names()).all(named));
    let api = Api::default();
    api.define();
    tokio::spawn(crate::app::lead(context(&api), CancellationToken::new()));
    sleep(LATER).await;
    let watched: BTreeSet<_> =
        api.asked().iter().filter_map(|asked| asked.strip_suffix("limit=500")).map(str::to_owned).collect();
    let asked: BTreeSet<_> =
        listed.iter().filter_map(|asked| asked.strip_suffix("limit=1")).map(str::to_owned).collect();
    assert_eq!(asked, watched);
    // The chart permits no more of Secrets.
    assert!(
        asked.contains("/api/v1/namespaces/other/secrets?&fieldSelector=metadata.name%3Dtombolo-webhook&"),
        "{asked:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_it_waits_for_is_told() {
    let api = api();
    api.fail("/namespaces/other/configmaps", Fails::With(403));
    let (readiness, _stop, settled) = begin(&api);
    assert!(readiness.told().unwrap_err().contains("not answered yet"));
    tokio::spawn(settled);
    sleep(LATER).await;
    let why = readiness.told().unwrap_err();
    for part in ["cannot list /api/v1/namespaces/other/configmaps", "refused with 403", "the chart's roles have them"] {
        assert!(why.contains(part), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_defined_is_an_answer() {
    let api = Api::default();
    api.fail("/gatewayclasses", Fails::With(404));
    api.fail("/meshinstallations?", Fails::With(404));
    let (readiness, _stop, settled) = begin(&api);
    tokio::spawn(settled);
    sleep(LATER).await;
    assert_eq!(readiness.told(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_gone_is_not_waited_for() {
    let api = api();
    api.fail("/namespaces/other/", Fails::With(403));
    let (readiness, _stop, settled) = begin(&api);
    tokio::spawn(settled);
    sleep(LATER).await;
    readiness.told().unwrap_err();
    api.delete(NAMESPACES, "other");
    api.delete(NAMESPACES, "system"); // the answer is of one name
    sleep(LATER).await;
    assert_eq!(readiness.told(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_that_goes() {
    let api = Api::default();
    let metadata = serde_json::json!({"name": "other", "deletionTimestamp": "2026-01-01T00:00:00Z"});
    api.put(NAMESPACES, serde_json::json!({"metadata": metadata}));
    api.fail("/namespaces/other/", Fails::With(403));
    let (readiness, _stop, settled) = begin(&api);
    tokio::spawn(settled);
    sleep(LATER).await;
    assert_eq!(readiness.told(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_later_changes_nothing_and_being_told_to_stop_does() {
    let api = Api::default();
    let (readiness, stop, settled) = begin(&api);
    tokio::spawn(settled);
    sleep(LATER).await;
    assert_eq!(readiness.told(), Ok(()));
    let asked = api.asked().len();
    api.fail("", Fails::With(503));
    sleep(10 * LATER).await;
    assert_eq!((readiness.told(), api.asked().len()), (Ok(()), asked), "nothing is asked any more");
    stop.cancel();
    sleep(LATER).await;
    readiness.told().unwrap_err();
}
