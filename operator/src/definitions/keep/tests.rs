use crate::{
    condition::Truth,
    context::Context,
    definitions,
    metrics::Metrics,
    scripted::{Api, DEFINITIONS, Fails},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

const LATER: Duration = Duration::from_secs(60);
const OURS: &str = "meshinstallations.mesh.tombolo.dev";

fn keep(api: &Api) -> (Arc<Context>, DropGuard) {
    let context = Context::new(api.client(), "me".to_owned(), vec!["n".to_owned()], "r".to_owned(), Metrics::default());
    let (context, stop) = (Arc::new(context), CancellationToken::new());
    let (kept, told) = (context.clone(), stop.clone());
    tokio::spawn(async move { definitions::keep(&kept, &told).await });
    (context, stop.drop_guard())
}

fn applied(api: &Api) -> Vec<String> {
    let applied = api.written().into_iter().map(|(what, _)| what);
    applied.filter_map(|what| Some(what.strip_prefix(&format!("PATCH {DEFINITIONS}/"))?.to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_changed_is_put_back_without_an_installation() {
    let api = Api::default();
    api.define();
    let (_context, _stop) = keep(&api);
    sleep(LATER).await;
    assert_eq!(applied(&api), [""; 0], "all are as they should be");
    api.delete(DEFINITIONS, OURS);
    sleep(LATER).await;
    assert_eq!(applied(&api), [OURS]);
    let changed = "workloadgroups.networking.istio.io";
    api.change(DEFINITIONS, changed, |definition| definition["spec"]["versions"][0]["schema"] = Value::Null);
    sleep(LATER).await;
    assert_eq!(applied(&api).iter().filter(|name| *name == changed).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_never_answered_keeps_no_other_from_its_place_and_is_told_of() {
    let api = Api::default();
    api.fail(OURS, Fails::Never);
    let (context, _stop) = keep(&api);
    sleep(2 * LATER).await;
    let others = definitions::names().filter(|name| *name != OURS);
    assert!(others.into_iter().all(|name| applied(&api).iter().any(|applied| applied == name)));
    let said = definitions::verdict(&context.definitions.borrow()).unwrap();
    assert_eq!(&*said.reason, "ApiServerUnavailable");
    assert!(said.message.contains(OURS), "{}", said.message);
}

#[tokio::test(start_paused = true)]
async fn one_that_must_not_be_written_is_told_of_and_keeps_no_other_from_its_place() {
    let api = Api::default();
    api.fail(OURS, Fails::With(403));
    let (context, _stop) = keep(&api);
    sleep(LATER).await;
    let others = definitions::names().filter(|name| *name != OURS);
    assert!(others.into_iter().all(|name| applied(&api).iter().any(|applied| applied == name)));
    assert!(context.definitions.borrow().is_known(), "who leads goes on");
    let said = definitions::verdict(&context.definitions.borrow()).unwrap();
    assert_eq!((said.truth, &*said.reason), (Truth::False, "MissingPermission"));
    assert!(said.message.contains(OURS), "{}", said.message);
    api.recover(OURS);
    sleep(20 * LATER).await;
    assert_eq!(definitions::verdict(&context.definitions.borrow()).unwrap().truth, Truth::True);
}
