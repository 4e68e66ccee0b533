//! Which requests a rule is for, and which of several rules wins (`HTTPRouteRule.matches`).

use crate::support::{World, route, traffic};

/// Each path is answered by this backend.
async fn paths(world: &World, host: &str, cases: &[(&str, &str)]) {
    for (path, backend) in cases {
        world.get("http", host, path).reaches(backend).await;
    }
}

#[test]
fn exact_paths_come_before_expressions_before_the_longest_prefix() {
    traffic(async |world| {
        let rules = r"
  - matches: [{path: {value: /}}]
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /pre/}}]
    backendRefs: [{name: v2, port: 8080}]
  - matches: [{path: {value: /pre/deep}}]
    backendRefs: [{name: v3, port: 8080}]
  - matches: [{path: {type: Exact, value: /pre/deep/exact}}]
    backendRefs: [{name: app, namespace: app, port: 8080}, {name: v1, port: 8080}]
  - matches: [{path: {type: RegularExpression, value: '/pre/[0-9]+'}}]
    backendRefs: [{name: v3, port: 8080}]
  - matches: [{path: {type: Exact, value: /slash/}}]
    backendRefs: [{name: v2, port: 8080}]";
        // The one reference that is not permitted takes no requests: it has no weight.
        let rules = rules.replace("namespace: app, port: 8080}", "namespace: app, port: 8080, weight: 0}");
        world.apply("paths", &route("paths", &rules)).await;
        let cases = [
            ("/", "v1"),
            ("/other", "v1"),
            ("/prefix", "v1"), // not an element of its own
            ("/pre", "v2"),
            ("/pre/", "v2"),
            ("/pre/x", "v2"),
            ("/pre/deep", "v3"),
            ("/pre/deep/x", "v3"),
            ("/pre/deeper", "v2"),
            ("/pre/deep/exact", "v1"),
            ("/pre/deep/exact/", "v3"),
            ("/pre/deep/Exact", "v3"), // paths have case
            ("/pre/17", "v3"),
            ("/pre/17x", "v2"), // an expression is for the whole path
            ("/slash/", "v2"),
            ("/slash", "v1"),
            ("/pre/deep?query=/other", "v3"),
        ];
        paths(world, "paths.test", &cases).await;
    });
}

#[test]
fn headers_must_all_match_and_more_of_them_win() {
    traffic(async |world| {
        let rules = r"
  - matches: [{headers: [{name: Version, value: one}]}]
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{headers: [{name: version, value: one}, {name: color, value: orange}]}]
    backendRefs: [{name: v2, port: 8080}]
  - matches: [{headers: [{name: version, type: RegularExpression, value: 'v[0-9]'}]}, {headers: [{name: color, value: blue}]}]
    backendRefs: [{name: v3, port: 8080}]";
        world.apply("header-matching", &route("header-matching", rules)).await;
        let ask = || world.get("http", "header-matching.test", "/");
        ask().header("version", "one").reaches("v1").await;
        ask().header("VERSION", "one").header("color", "red").reaches("v1").await;
        ask().header("version", "one").header("color", "orange").reaches("v2").await;
        ask().header("version", "v7").reaches("v3").await;
        ask().header("color", "blue").reaches("v3").await;
        ask().header("version", "v77").gets(404).await;
        ask().header("color", "orange").gets(404).await;
        ask().gets(404).await;
    });
}

#[test]
fn query_parameters_match_by_name_and_value() {
    traffic(async |world| {
        let rules = r"
  - matches: [{queryParams: [{name: animal, value: whale}]}]
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{queryParams: [{name: animal, value: whale}, {name: sea, value: north}]}]
    backendRefs: [{name: v2, port: 8080}]
  - matches: [{queryParams: [{name: animal, type: RegularExpression, value: 'd.*n'}]}]
    backendRefs: [{name: v3, port: 8080}]
  - matches: [{path: {value: /path}, queryParams: [{name: animal, value: whale}], headers: [{name: version, value: one}]}]
    backendRefs: [{name: v3, port: 8080}]";
        world.apply("query-matching", &route("query-matching", rules)).await;
        let cases = [
            ("/?animal=whale", "v1"),
            ("/?animal=whale&other=x", "v1"),
            ("/?other=x&sea=north&animal=whale", "v2"),
            ("/?animal=dolphin", "v3"),
        ];
        paths(world, "query-matching.test", &cases).await;
        let ask = |path| world.get("http", "query-matching.test", path);
        ask("/path?animal=whale").header("version", "one").reaches("v3").await;
        ask("/path?animal=whale").reaches("v1").await;
        for path in ["/", "/?animal=shark", "/?Animal=whale", "/?animal=", "/?animal=whalex"] {
            ask(path).gets(404).await;
        }
    });
}

#[test]
fn methods_match_and_win_over_headers() {
    traffic(async |world| {
        let rules = r"
  - matches: [{method: POST}]
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{method: GET}]
    backendRefs: [{name: v2, port: 8080}]
  - matches: [{path: {value: /path}, method: GET}]
    backendRefs: [{name: v3, port: 8080}]
  - matches: [{path: {value: /path}, headers: [{name: version, value: one}, {name: color, value: red}]}]
    backendRefs: [{name: v1, port: 8080}]";
        world.apply("methods", &route("methods", rules)).await;
        let ask = |method, path| world.get("http", "methods.test", path).method(method);
        ask("POST", "/").reaches("v1").await;
        ask("GET", "/").reaches("v2").await;
        ask("GET", "/path").reaches("v3").await;
        ask("GET", "/path").header("version", "one").header("color", "red").reaches("v3").await;
        ask("PUT", "/path").header("version", "one").header("color", "red").reaches("v1").await;
        ask("PUT", "/").gets(404).await;
        ask("HEAD", "/").gets(404).await;
    });
}

#[test]
fn routes_of_one_host_are_one_list_by_precedence() {
    traffic(async |world| {
        let of = |name: &str, age: &str, rules: &str| {
            let metadata = format!("name: {name}, creationTimestamp: \"{age}\"");
            route("across", rules).replace("name: across,", &format!("{metadata},"))
        };
        let old = of(
            "across-z",
            "2024-01-01T00:00:00Z",
            r"
  - matches: [{path: {value: /}}, {headers: [{name: version, value: one}]}]
    backendRefs: [{name: v1, port: 8080}]",
        );
        let new = of(
            "across-a",
            "2025-01-01T00:00:00Z",
            r"
  - matches: [{path: {value: /}}, {path: {value: /v2}}, {headers: [{name: version, value: two}]}]
    backendRefs: [{name: v2, port: 8080}]",
        );
        world.apply("across", &(old + &new)).await;
        // Where nothing else tells them apart, the older route wins.
        paths(world, "across.test", &[("/", "v1"), ("/v2", "v2"), ("/v2/x", "v2"), ("/v2x", "v1")]).await;
        let ask = |version| world.get("http", "across.test", "/x").header("version", version);
        ask("one").reaches("v1").await;
        ask("two").reaches("v2").await;
        ask("three").reaches("v1").await;
    });
}

#[test]
fn a_rule_may_have_a_name() {
    traffic(async |world| {
        let rules = r"
  - name: first
    matches: [{path: {value: /first}}]
    backendRefs: [{name: v1, port: 8080}]
  - name: second
    backendRefs: [{name: v2, port: 8080}]";
        world.apply("named", &route("named", rules)).await;
        paths(world, "named.test", &[("/first", "v1"), ("/", "v2")]).await;
    });
}
