//! Which hosts reach a route: the listener's and the route's, and no listener's routes by another's host.

use crate::support::{World, route_of, traffic};

const V1: &str = "\n  - backendRefs: [{name: v1, port: 8080}]";
const V2: &str = "\n  - backendRefs: [{name: v2, port: 8080}]";
const V3: &str = "\n  - backendRefs: [{name: v3, port: 8080}]";

fn section(name: &str) -> String {
    format!("{{name: edge, namespace: infra, sectionName: {name}}}")
}

/// Hosts, and the backend that answers each; 404 where there is none.
type Hosts<'a> = &'a [(&'a str, Option<&'a str>)];

async fn hosts(world: &World, port: &str, path: &str, cases: Hosts<'_>) {
    for (host, backend) in cases {
        let ask = world.get(port, host, path);
        match backend {
            Some(backend) => ask.reaches(backend).await,
            None => ask.gets(404).await,
        };
    }
}

#[test]
fn a_route_serves_the_names_that_it_shares_with_a_listener() {
    traffic(async |world| {
        let port = format!("{{name: edge, namespace: infra, port: {}}}", world.port("intersection"));
        let of = |name: &str, path: &str, hosts: &[&str], backend: &str| {
            let rules = format!(
                "\n  - matches: [{{path: {{value: /{path}}}}}]\n    backendRefs: [{{name: {backend}, port: 8080}}]"
            );
            route_of("infra", name, &port, hosts, &rules)
        };
        let exact = of("exact", "s1", &["non.matching.com", "*.nonmatching.io", "very.specific.com"], "v1");
        let under = ["non.matching.com", "wildcard.io", "foo.wildcard.io", "bar.wildcard.io", "foo.bar.wildcard.io"];
        let under = of("under", "s2", &under, "v2");
        let over = of("over", "s3", &["non.matching.com", "*.specific.com"], "v3");
        let same = of("same", "s4", &["*.anotherwildcard.io"], "v1");
        let none = of("none", "s5", &["specific.but.wrong.com", "wildcard.io"], "v1");
        world.apply("intersection", &[exact, under, over, same, none].concat()).await;
        let cases: [(&str, Hosts<'_>); 5] = [
            (
                "/s1",
                &[("very.specific.com", Some("v1")), ("VERY.specific.com", Some("v1")), ("non.matching.com", None)],
            ),
            (
                "/s2",
                &[
                    ("foo.wildcard.io", Some("v2")),
                    ("bar.wildcard.io", Some("v2")),
                    ("foo.bar.wildcard.io", Some("v2")),
                    ("wildcard.io", None),
                    ("other.wildcard.io", None),
                ],
            ),
            ("/s3", &[("very.specific.com", Some("v3")), ("less.specific.com", None), ("non.matching.com", None)]),
            (
                "/s4",
                &[
                    ("one.anotherwildcard.io", Some("v1")),
                    ("one.two.anotherwildcard.io", Some("v1")),
                    ("anotherwildcard.io", None),
                ],
            ),
            ("/s5", &[("specific.but.wrong.com", None), ("wildcard.io", None)]),
        ];
        for (path, cases) in cases {
            hosts(world, "intersection", path, cases).await;
        }
        let status = world.status("HTTPRoute infra/none").await;
        assert_eq!(status["parents"][0]["conditions"][0]["reason"], "NoMatchingListenerHostname", "{status:#}");
    });
}

#[test]
fn the_most_specific_listener_takes_a_request() {
    traffic(async |world| {
        let [v1, v2, v3] = [("names-bar", V1), ("names-foo-bar", V2), ("names-any-bar", V3)]
            .map(|(name, rules)| route_of("infra", name, &section(name), &[], rules));
        let both = format!("{}, {}", section("names-any-bar"), section("names-any-foo"));
        let both = route_of(
            "infra",
            "names-both",
            &both,
            &[],
            "\n  - matches: [{path: {value: /both}}]\n    backendRefs: [{name: v1, port: 8080}]",
        );
        world.apply("names", &[v1, v2, v3, both].concat()).await;
        let cases = [
            ("bar.com", Some("v1")),
            ("foo.bar.com", Some("v2")),
            ("baz.bar.com", Some("v3")),
            ("boo.bar.com", Some("v3")),
            ("multiple.prefixes.bar.com", Some("v3")),
            ("foo.com", None),
            ("no.matching.host", None),
        ];
        hosts(world, "names", "/", &cases).await;
        let cases =
            [("baz.bar.com", Some("v1")), ("x.foo.com", Some("v1")), ("foo.bar.com", Some("v2")), ("foo.com", None)];
        hosts(world, "names", "/both", &cases).await;
    });
}

#[test]
fn listeners_of_a_port_are_isolated() {
    traffic(async |world| {
        let names = ["bar.com", "*.example.com", "*.foo.example.com", "abc.foo.example.com"];
        let listeners = ["any", "example", "foo", "abc"].map(|listener| format!("isolation-{listener}"));
        let routes = listeners.iter().map(|listener| {
            let path = listener.trim_start_matches("isolation-");
            let rules =
                format!("\n  - matches: [{{path: {{value: /{path}}}}}]\n    backendRefs: [{{name: v1, port: 8080}}]");
            // Once for all names of the listener, once for names of which some belong to others.
            let named = listener.replace("isolation", "named");
            let all = route_of("infra", listener, &section(listener), &[], &rules);
            all + &route_of("infra", &named, &section(&named), &names, &rules)
        });
        world.apply("isolation", &routes.collect::<String>()).await;
        let owners = [
            ("bar.com", "any"),
            ("bar.example.com", "example"),
            ("bar.foo.example.com", "foo"),
            ("abc.foo.example.com", "abc"),
        ];
        for (host, owner) in owners {
            for port in ["isolation", "named"] {
                world.get(port, host, &format!("/{owner}")).reaches("v1").await;
                for (_, other) in owners.iter().filter(|(_, other)| *other != owner) {
                    world.get(port, host, &format!("/{other}")).gets(404).await;
                }
            }
        }
    });
}

#[test]
fn a_port_in_the_host_does_not_count() {
    traffic(async |world| {
        world.apply("host-port", &route_of("infra", "host-port", &section("http"), &["host-port.test"], V1)).await;
        world.get("http", "host-port.test", "/").reaches("v1").await;
        world.get("http", "host-port.test:1234", "/").reaches("v1").await;
        world.get("http", "Host-Port.test", "/").reaches("v1").await;
    });
}

#[test]
fn an_exact_host_comes_before_a_longer_wildcard_before_a_shorter() {
    traffic(async |world| {
        let of = |name: &str, host: &str, rules: &str| route_of("infra", name, &section("http"), &[host], rules);
        let routes =
            [of("host-a", "*.rank.test", V1), of("host-b", "*.b.rank.test", V2), of("host-c", "c.b.rank.test", V3)];
        world.apply("host-rank", &routes.concat()).await;
        let cases = [
            ("a.rank.test", Some("v1")),
            ("b.rank.test", Some("v1")),
            ("a.b.rank.test", Some("v2")),
            ("c.b.rank.test", Some("v3")),
            ("x.c.b.rank.test", Some("v2")),
            ("rank.test", None),
        ];
        hosts(world, "http", "/", &cases).await;
    });
}

#[test]
fn a_name_that_no_dns_knows_is_a_host_like_any_other() {
    traffic(async |world| {
        let long = format!("{}.unusual.test", "a".repeat(64));
        let names = ["192.0.2.1", &long, "unusual.test"];
        let rules = "\n  - matches: [{path: {value: /unusual}}]\n    backendRefs: [{name: v1, port: 8080}]";
        world.apply("unusual", &route_of("infra", "unusual", &section("http"), &names, rules)).await;
        for name in names {
            world.get("http", name, "/unusual").reaches("v1").await;
        }
    });
}
