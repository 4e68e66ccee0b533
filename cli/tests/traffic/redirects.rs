//! Redirects: where to, and how it is said.

use crate::support::{World, route, route_of, traffic};

/// Rules that redirect: a path prefix each, and the filter's fields.
fn rules(redirects: &[(&str, &str)]) -> String {
    let rule = |(path, redirect): &(&str, &str)| {
        let filter = format!("{{type: RequestRedirect, requestRedirect: {{{redirect}}}}}");
        format!("\n  - matches: [{{path: {{value: {path}}}}}]\n    filters: [{filter}]")
    };
    redirects.iter().map(rule).collect()
}

/// Each path is answered with this status and place.
async fn locations(world: &World, port: &str, host: &str, cases: &[(&str, u16, &str)]) {
    for (path, status, location) in cases {
        let answer = world.get(port, host, path).gets(*status).await;
        assert_eq!(answer.header("location"), *location, "{path}");
    }
}

#[test]
fn a_redirect_changes_what_it_names_and_nothing_else() {
    traffic(async |world| {
        let rules = rules(&[
            ("/host", "hostname: example.org"),
            ("/host-and-status", "hostname: example.org, statusCode: 301"),
            ("/303", "hostname: example.org, statusCode: 303"),
            ("/307", "hostname: example.org, statusCode: 307"),
            ("/308", "hostname: example.org, statusCode: 308"),
            ("/full", "path: {type: ReplaceFullPath, replaceFullPath: /replaced}"),
            ("/full-and-host", "hostname: example.org, path: {type: ReplaceFullPath, replaceFullPath: /replaced}"),
            ("/prefix", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}"),
            ("/slash/", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /new/}"),
            ("/strip", "hostname: example.org, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}"),
            ("/scheme", "scheme: https"),
            ("/scheme-and-host", "scheme: https, hostname: example.org"),
            ("/scheme-and-port", "scheme: https, port: 8443"),
            ("/port", "port: 8083"),
            ("/port-and-host", "port: 8083, hostname: example.org, statusCode: 301"),
        ]);
        world.apply("redirects", &route("redirects", &rules)).await;
        let own = world.port("http");
        let owned = |rest: &str| format!("http://redirects.test:{own}{rest}");
        let cases = [
            ("/host", 302, format!("http://example.org:{own}/host")),
            ("/host/x?q=1", 302, format!("http://example.org:{own}/host/x?q=1")),
            ("/host-and-status", 301, format!("http://example.org:{own}/host-and-status")),
            ("/303", 303, format!("http://example.org:{own}/303")),
            ("/307", 307, format!("http://example.org:{own}/307")),
            ("/308", 308, format!("http://example.org:{own}/308")),
            ("/full/x", 302, owned("/replaced")),
            ("/full/x?q=1", 302, owned("/replaced?q=1")),
            ("/full-and-host", 302, format!("http://example.org:{own}/replaced")),
            ("/prefix/x", 302, owned("/new/x")),
            ("/prefix", 302, owned("/new")),
            ("/prefix/", 302, owned("/new/")),
            ("/prefix/x?q=/prefix", 302, owned("/new/x?q=/prefix")),
            ("/slash/x", 302, owned("/new/x")),
            ("/strip/x", 302, format!("http://example.org:{own}/x")),
            ("/strip", 302, format!("http://example.org:{own}/")),
            ("/scheme", 302, "https://redirects.test:443/scheme".to_owned()),
            ("/scheme-and-host", 302, "https://example.org/scheme-and-host".to_owned()),
            ("/scheme-and-port", 302, "https://redirects.test:8443/scheme-and-port".to_owned()),
            ("/port", 302, "http://redirects.test:8083/port".to_owned()),
            ("/port-and-host", 301, "http://example.org:8083/port-and-host".to_owned()),
        ];
        for (path, status, location) in cases {
            locations(world, "http", "redirects.test", &[(path, status, &location)]).await;
        }
    });
}

/// The port is the rule's; else the scheme's, where the rule has one; else the listener's. The well-known port of a scheme goes
/// without saying (`HTTPRequestRedirectFilter.port`).
#[test]
fn a_redirect_has_the_port_of_rule_scheme_or_listener() {
    traffic(async |world| {
        let fields = [
            ("/none", "hostname: example.org"),
            ("/port-80", "hostname: example.org, port: 80"),
            ("/port-443", "hostname: example.org, port: 443"),
            ("/port-8443", "hostname: example.org, port: 8443"),
            ("/http", "hostname: example.org, scheme: http"),
            ("/http-80", "hostname: example.org, scheme: http, port: 80"),
            ("/http-8080", "hostname: example.org, scheme: http, port: 8080"),
            ("/https", "hostname: example.org, scheme: https"),
            ("/https-443", "hostname: example.org, scheme: https, port: 443"),
            ("/https-8443", "hostname: example.org, scheme: https, port: 8443"),
        ];
        let plain = "{name: edge, namespace: infra, sectionName: second}";
        let tls = "{name: edge, namespace: infra, sectionName: https-any}";
        let rules = rules(&fields);
        let plain = route_of("infra", "ports-plain", plain, &["ports.test"], &rules);
        let secure = rules.replace("value: /", "value: /ports/");
        let tls = route_of("infra", "ports-tls", tls, &["unknown-example.org"], &secure);
        world.apply("redirect-ports", &(plain + &tls)).await;

        let own = |scheme: &str, port: &str| format!("{scheme}://example.org:{}", world.port(port));
        let place = |place: &str| place.to_owned();
        let cases = [
            ("/none", own("http", "second"), own("https", "https")),
            ("/port-80", place("http://example.org"), place("https://example.org:80")),
            ("/port-443", place("http://example.org:443"), place("https://example.org")),
            ("/port-8443", place("http://example.org:8443"), place("https://example.org:8443")),
            ("/http", place("http://example.org"), place("http://example.org")),
            ("/http-80", place("http://example.org"), place("http://example.org")),
            ("/http-8080", place("http://example.org:8080"), place("http://example.org:8080")),
            ("/https", place("https://example.org"), place("https://example.org")),
            ("/https-443", place("https://example.org"), place("https://example.org")),
            ("/https-8443", place("https://example.org:8443"), place("https://example.org:8443")),
        ];
        for (path, plain, secure) in cases {
            let answer = world.get("second", "ports.test", path).gets(302).await;
            assert_eq!(answer.header("location"), format!("{plain}{path}"));
            let path = format!("/ports{path}");
            let ask = world.get("https", "unknown-example.org", &path).tls("unknown-example.org");
            assert_eq!(ask.gets(302).await.header("location"), format!("{secure}{path}"));
        }
    });
}

/// The client's own port in its Host header is the listener's, or that of something before it: the rule decides, not the client.
#[test]
fn the_port_that_the_client_names_does_not_leak() {
    traffic(async |world| {
        let rules =
            rules(&[("/", "scheme: https"), ("/port", "port: 8083"), ("/host", "hostname: example.org, port: 80")]);
        world.apply("named-port", &route("named-port", &rules)).await;
        let cases = [
            ("/", 302, "https://named-port.test:443/"),
            ("/port", 302, "http://named-port.test:8083/port"),
            ("/host", 302, "http://example.org/host"),
        ];
        locations(world, "http", "named-port.test:1234", &cases).await;
    });
}
