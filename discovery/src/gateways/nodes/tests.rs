use super::*;
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

fn node(name: &str, ready: &str, addresses: &Value) -> Node {
    let conditions = json!([{"type": "MemoryPressure", "status": "False"},
        {"type": "Ready", "status": ready, "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]);
    let document = json!({
        "metadata": {"name": name, "resourceVersion": "1", "labels": {"a": "b"}},
        "spec": {"podCIDR": "10.0.0.0/24"},
        "status": {"addresses": addresses, "conditions": conditions, "images": [{"names": ["a"]}]},
    });
    serde_json::from_value(document).unwrap()
}

fn inner(address: &str) -> Value {
    json!([{"type": "Hostname", "address": "node"}, {"type": "InternalIP", "address": address}])
}

fn known(events: Vec<Event<Node>>) -> Known {
    let mut known = Known::default();
    events.into_iter().for_each(|event| known.take(event));
    known
}

/// `NAME EXTERNAL INTERNAL` of each.
fn texts(known: &Known) -> Vec<String> {
    let text = |node: &Arc<gateway_api::Node>| format!("{} {:?} {:?}", node.name, node.external, node.internal);
    known.reached().iter().map(text).collect()
}

#[test]
fn nodes_are_reached_where_they_are_ready() {
    let both = json!([{"type": "InternalIP", "address": "fd00::3"}, {"type": "InternalIP", "address": "192.0.2.3"}]);
    let events = [node("a", "True", &inner("192.0.2.10")), node("b", "Unknown", &inner("192.0.2.2"))];
    let mut known = known(events.map(Event::Apply).into());
    known.take(Event::Apply(node("c", "True", &both)));
    known.take(Event::Apply(node("d", "True", &inner("not an address"))));
    assert_eq!(texts(&known), ["a [] [192.0.2.10]", "c [] [fd00::3, 192.0.2.3]"]);
    known.take(Event::Apply(node("a", "False", &inner("192.0.2.10"))));
    known.take(Event::Apply(node("b", "True", &inner("192.0.2.2"))));
    assert_eq!(texts(&known), ["b [] [192.0.2.2]", "c [] [fd00::3, 192.0.2.3]"]);
    known.take(Event::Delete(node("c", "True", &both)));
    assert_eq!(texts(&known), ["b [] [192.0.2.2]"]);
}

#[test]
fn addresses_outside_are_told_apart() {
    let outside =
        json!([{"type": "ExternalIP", "address": "203.0.113.1"}, {"type": "InternalIP", "address": "192.0.2.2"}]);
    assert_eq!(texts(&known(vec![Event::Apply(node("b", "True", &outside))])), ["b [203.0.113.1] [192.0.2.2]"]);
}

/// An API server that refuses to list nodes so often, and how often it was asked.
fn api_server(refusals: usize, code: u16) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let of_nodes = request.uri().path().ends_with("/nodes");
        let refused = of_nodes && counter.fetch_add(1, Ordering::Relaxed) < refusals;
        let conditions = json!([{"type": "Ready", "status": "True"}]);
        let node =
            json!({"metadata": {"name": "a"}, "status": {"addresses": inner("192.0.2.1"), "conditions": conditions}});
        let (code, body) = match of_nodes {
            _ if refused => {
                let message = r#"nodes is forbidden: User "x" cannot list resource "nodes""#;
                (code, json!({"status": "Failure", "code": code, "message": message, "reason": ""}))
            }
            true => (200, json!({"metadata": {"resourceVersion": "1"}, "items": [node]})),
            false => (200, json!({"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "edge"}}]})),
        };
        let body = Body::from(body.to_string().into_bytes());
        std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap()))
    });
    (Client::new(service, "default"), asked)
}

#[tokio::test(start_paused = true)]
async fn nodes_are_asked_for_until_they_are_read_or_must_not_be() {
    for (code, asked_for, count) in [(500, 3, 1), (403, 1, 0)] {
        let (client, asked) = api_server(2, code);
        let nodes = Nodes::read(client, SourceId::new("test")).await;
        assert_eq!((asked.load(Ordering::Relaxed), nodes.facts().len()), (asked_for, count), "{code}");
    }
}

#[test]
fn half_a_list_changes_nothing_and_a_whole_one_tells_who_is_gone() {
    let listed = |name: &str, address: &str| Event::InitApply(node(name, "True", &inner(address)));
    let mut known = known(vec![Event::Init, listed("a", "192.0.2.1"), listed("b", "192.0.2.2"), Event::InitDone]);
    assert_eq!(texts(&known), ["a [] [192.0.2.1]", "b [] [192.0.2.2]"]);
    known.take(Event::Init);
    known.take(listed("b", "192.0.2.2"));
    assert_eq!(texts(&known), ["a [] [192.0.2.1]", "b [] [192.0.2.2]"]);
    known.take(Event::InitDone);
    assert_eq!(texts(&known), ["b [] [192.0.2.2]"]);
}
