//! Headers that a rule, or one of its backends, changes on the way.

use crate::support::{route, traffic};

#[test]
fn request_headers_are_set_added_and_removed() {
    traffic(async |world| {
        let rules = r"
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: X-Set, value: new}, {name: x-percent, value: '100% %REQ(x)%'}]
        add: [{name: x-add, value: more}]
        remove: [X-Remove, x-absent]
    backendRefs: [{name: v1, port: 8080}]";
        world.apply("request-headers", &route("request-headers", rules)).await;
        let ask = world.get("http", "request-headers.test", "/");
        let ask = ask.header("x-set", "old").header("x-add", "one").header("x-remove", "y").header("x-keep", "k");
        let answer = ask.reaches("v1").await;
        let got = ["x-set", "x-add", "x-remove", "x-keep", "x-percent"].map(|name| answer.reached(name));
        assert_eq!(got, ["new", "one,more", "", "k", "100% %REQ(x)%"]);
        let answer = world.get("http", "request-headers.test", "/").reaches("v1").await;
        assert_eq!(["x-set", "x-add"].map(|name| answer.reached(name)), ["new", "more"]);
    });
}

#[test]
fn response_headers_are_set_added_and_removed() {
    traffic(async |world| {
        let rules = r"
  - filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier:
        set: [{name: X-Set, value: new}]
        add: [{name: x-add, value: more}]
        remove: [X-Remove]
    backendRefs: [{name: v1, port: 8080}]";
        world.apply("response-headers", &route("response-headers", rules)).await;
        let path = "/?header=x-set:old&header=x-add:one&header=x-remove:y&header=x-keep:k";
        let answer = world.get("http", "response-headers.test", path).reaches("v1").await;
        assert_eq!(["x-set", "x-remove", "x-keep"].map(|name| answer.header(name)), ["new", "", "k"]);
        let added: Vec<_> = answer.headers.get_all("x-add").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(added.join(","), "one,more");
    });
}

#[test]
fn each_backend_may_change_headers_of_its_own() {
    traffic(async |world| {
        let rules = r"
  - backendRefs:
    - name: v1
      port: 8080
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Backend, value: to-v1}]}}]
    - name: v2
      port: 8080
      filters:
      - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Backend, value: to-v2}], remove: [x-remove]}}
      - {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: x-from, value: v2}]}}";
        world.apply("backend-headers", &route("backend-headers", rules)).await;
        let ask = world.get("http", "backend-headers.test", "/").header("backend", "mine").header("x-remove", "y");
        let answer = ask.reaches("v1").await;
        assert_eq!(["backend", "x-remove"].map(|name| answer.reached(name)), ["to-v1", "y"]);
        assert_eq!(answer.header("x-from"), "");
        let answer = ask.reaches("v2").await;
        assert_eq!(["backend", "x-remove"].map(|name| answer.reached(name)), ["to-v2", ""]);
        assert_eq!(answer.header("x-from"), "v2");
    });
}

/// A request passes the rule's filters first, then the backend's: the backend has the last word. A response comes the other
/// way, and the rule has it.
#[test]
fn a_backend_changes_what_the_rule_has_changed() {
    traffic(async |world| {
        let rules = r"
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: x-both, value: rule}, {name: x-rule, value: rule}, {name: x-unset, value: rule}]
        add: [{name: x-added, value: rule}]
        remove: [x-back]
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: x-both, value: rule}]}
    backendRefs:
    - name: v1
      port: 8080
      filters:
      - type: RequestHeaderModifier
        requestHeaderModifier:
          set: [{name: x-both, value: backend}, {name: X-Back, value: backend}]
          add: [{name: x-added, value: backend}]
          remove: [X-Unset]
      - type: ResponseHeaderModifier
        responseHeaderModifier: {set: [{name: x-both, value: backend}]}";
        world.apply("both-headers", &route("both-headers", rules)).await;
        let ask = world.get("http", "both-headers.test", "/").header("x-back", "client").header("x-added", "client");
        let answer = ask.reaches("v1").await;
        let got = ["x-both", "x-rule", "x-back", "x-unset", "x-added"].map(|name| answer.reached(name));
        assert_eq!(got, ["backend", "rule", "backend", "", "client,rule,backend"]);
        assert_eq!(answer.header("x-both"), "rule");
    });
}

#[test]
fn the_host_may_be_changed_as_a_header() {
    traffic(async |world| {
        let rules = r"
  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Host, value: other.test}]}}]
    backendRefs: [{name: v1, port: 8080}]";
        world.apply("host-header", &route("host-header", rules)).await;
        assert_eq!(world.get("http", "host-header.test", "/").reaches("v1").await.echo["host"], "other.test");
    });
}
