use super::*;
use crate::{
    failure::A_CALL,
    metrics::Metrics,
    scripted::{Api, Fails},
};
use kube::runtime::{reflector::store::Writer, watcher::Event};
use serde_json::json;
use std::{
    future::ready,
    sync::{Arc, Mutex},
};
use tokio::time::sleep;

const PODS: &str = "/api/v1/namespaces/system/pods";

fn proxy(kind: &str, name: &str, scopes: &[&str]) -> Connected {
    let proxy = format!("{kind}~10.0.0.1~{name}.shop~shop.svc.cluster.local");
    Connected { proxy, scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect() }
}

#[test]
fn each_proxy_is_counted_once_by_what_it_is() {
    let gateway = proxy("router", "edge", &["gateway/shop/edge"]);
    let connected = vec![
        gateway.clone(),
        gateway,
        proxy("router", "edge-2", &[]),
        proxy("sidecar", "web", &["namespace/shop@captured", "namespace/shop"]),
        proxy("sidecar", "vm", &["workload/shop/vm", "namespace/shop"]),
        Connected::default(),
    ];
    assert_eq!(by_kind(connected), ProxyCounts { gateways: 2, sidecars: 1, virtual_machines: 1 });
}

/// What each pod says, by its name; nothing where it is not named.
type Said = Arc<Mutex<BTreeMap<String, Vec<Connected>>>>;

struct Mesh {
    api: Api,
    context: Arc<Context>,
    said: Said,
    revisions: Writer<DynamicObject>,
}

/// Of one revision with two replicas, whose proxies are counted.
fn mesh() -> Mesh {
    let (api, said, mut revisions) = (Api::default(), Said::default(), Writer::new(kinds::REVISION.resource()));
    for name in ["d-1", "d-2"] {
        api.put(PODS, json!({"metadata": {"name": name}, "status": {"phase": "Running"}}));
        said.lock().unwrap().insert(name.to_owned(), Vec::new());
    }
    let revision = json!({"metadata": {"name": "a"}, "spec": {"namespace": "system"}});
    revisions.apply_watcher_event(&Event::Init);
    revisions.apply_watcher_event(&Event::InitApply(serde_json::from_value(revision).unwrap()));
    revisions.apply_watcher_event(&Event::InitDone);
    let namespaces = vec!["system".to_owned()];
    let context = Context::new(api.client(), "me".to_owned(), namespaces, "r".to_owned(), Metrics::default());
    let (context, store, asked) = (Arc::new(context), revisions.as_reader(), said.clone());
    let counted = context.clone();
    tokio::spawn(async move {
        sleep(PERIOD / 2).await; // so that tests look between two counts
        let ask = |pod: Pod| ready(asked.lock().unwrap().get(&pod.name_any()).cloned());
        keep_by(&counted, store, ask).await;
    });
    Mesh { api, context, said, revisions }
}

impl Mesh {
    /// How many gateways are told of at the next count and whether those are all, and whether that is news.
    async fn next(&self) -> (Option<(u32, bool)>, bool) {
        let news = self.context.proxies.subscribe();
        sleep(PERIOD).await;
        let counted = news.borrow().get("a").map(|count| (count.proxies.gateways, count.complete));
        (counted, news.has_changed().unwrap())
    }

    fn say(&self, pod: &str, connected: Option<Vec<Connected>>) {
        let mut said = self.said.lock().unwrap();
        said.remove(pod);
        said.extend(connected.map(|connected| (pod.to_owned(), connected)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_what_those_replicas_said_that_answered() {
    let mesh = mesh();
    let (some, all) = (|count| Some((count, false)), |count| Some((count, true)));
    assert_eq!(mesh.next().await, (all(0), true));
    assert_eq!(mesh.next().await, (all(0), false), "nothing is new");
    mesh.say("d-1", Some(vec![proxy("router", "a", &[])]));
    mesh.say("d-2", Some(vec![proxy("router", "b", &[])]));
    assert_eq!(mesh.next().await, (all(2), true));
    mesh.say("d-1", None);
    assert_eq!(mesh.next().await, (some(1), true), "whoever does not answer may have somebody, and the others answer");
    mesh.api.change(PODS, "d-1", |pod| pod["status"]["phase"] = "Failed".into());
    assert_eq!(mesh.next().await, (all(1), true), "whoever has ended has nobody");
    mesh.api.fail(PODS, Fails::With(403));
    assert_eq!(mesh.next().await, (some(0), true));
    mesh.api.recover(PODS);
    mesh.api.delete(PODS, "d-2");
    assert_eq!(mesh.next().await, (all(0), true));
}

#[tokio::test(start_paused = true)]
async fn of_a_connection_that_is_not_known_yet_it_is_said_that_there_is_one() {
    let mesh = mesh();
    mesh.say("d-1", Some(vec![Connected::default()]));
    mesh.next().await;
    let expected = Count { proxies: ProxyCounts::default(), complete: true, unknown: true };
    assert_eq!(mesh.context.proxies.borrow()["a"], expected);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_nobody_lists_keep_nobody_waiting() {
    let mesh = mesh();
    assert_eq!(mesh.next().await.0, Some((0, true)));
    mesh.api.fail(PODS, Fails::Never);
    mesh.next().await;
    sleep(A_CALL).await;
    assert_eq!(mesh.context.proxies.borrow()["a"], Count::default());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_named() {
    let mesh = mesh();
    let ask = |pod: Pod| ready((pod.name_any() == "d-2").then(Vec::new));
    let (_, why) = count(&mesh.context, "system", "a", ask).await;
    assert_eq!(why.unwrap(), "pod d-1 does not answer on port 15014");
}

#[test]
fn that_proxies_are_not_counted_is_told_when_it_begins_and_when_it_ends() {
    let mut uncounted = Uncounted::default();
    let why = || Some("pod d-1 does not answer".to_owned());
    let told = [None, why(), why(), None, None, why()].map(|why| uncounted.note("a", why));
    assert_eq!(told, [false, true, false, true, false, true]);
    assert!(uncounted.note("b", why()), "of each revision");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_a_revision_that_is_gone() {
    let mut mesh = mesh();
    assert_eq!(mesh.next().await.0, Some((0, true)));
    mesh.revisions.apply_watcher_event(&Event::Init);
    mesh.revisions.apply_watcher_event(&Event::InitDone);
    assert_eq!(mesh.next().await, (None, true));
}

#[tokio::test(start_paused = true)]
async fn each_revision_is_counted_once_a_period() {
    let mesh = mesh();
    sleep(PERIOD).await;
    let before = mesh.api.asked().len();
    sleep(10 * PERIOD).await;
    assert_eq!(mesh.api.asked().len() - before, 10);
    assert!(mesh.api.asked().iter().all(|asked| asked.contains("istio.io%2Frev%3Da")), "{:#?}", mesh.api.asked());
}
