//! HTTPS listeners of one port: which certificate, which routes, and what becomes of a request that came to the wrong one.

use crate::support::{Certificate, free_ports, route_of, traffic};

#[test]
fn a_connection_is_for_the_listener_that_its_name_chose() {
    traffic(async |world| {
        let of = |name: &str, section: &str, hosts: &[&str], backend: &str| {
            let parent = format!("{{name: edge, namespace: infra, sectionName: {section}}}");
            route_of("infra", name, &parent, hosts, &format!("\n  - backendRefs: [{{name: {backend}, port: 8080}}]"))
        };
        let routes = [
            of("tls-any", "https-any", &["example.org"], "v1"),
            of("tls-second", "https-second", &["second-example.org"], "v2"),
            of("tls-wildcard", "https-wildcard", &[], "v3"),
            of("tls-fourth", "https-fourth", &[], "v1"),
        ];
        world.apply("https", &routes.concat()).await;
        let wildcard = "third-example.wildcard.org";
        let fourth = "fourth-example.wildcard.org";
        // By the suite: where another listener would have taken the connection for that host, 421 (RFC 9110, 15.5.20).
        let cases = [
            ("example.org", "example.org", Ok("v1")),
            ("example.org", "second-example.org", Err(421)),
            ("example.org", "unknown-example.org", Err(404)),
            ("second-example.org", "second-example.org", Ok("v2")),
            ("second-example.org", "example.org", Err(421)),
            ("second-example.org", "unknown-example.org", Err(421)),
            (wildcard, wildcard, Ok("v3")),
            (wildcard, "fifth-example.wildcard.org", Ok("v3")),
            (wildcard, fourth, Err(421)),
            (wildcard, "second-example.org", Err(421)),
            (wildcard, "unknown-example.org", Err(421)),
            (fourth, fourth, Ok("v1")),
            (fourth, "fifth-example.wildcard.org", Err(421)),
            ("unknown-example.org", "example.org", Ok("v1")),
            ("unknown-example.org", "unknown-example.org", Err(404)),
        ];
        for (server_name, host, outcome) in cases {
            for ask in
                [world.get("https", host, "/").tls(server_name), world.get("https", host, "/").tls(server_name).http2()]
            {
                match outcome {
                    Ok(backend) => ask.reaches(backend).await,
                    Err(status) => ask.gets(status).await,
                };
            }
        }
    });
}

#[test]
fn a_backend_learns_that_the_client_used_tls() {
    traffic(async |world| {
        let parent = "{name: edge, namespace: infra, sectionName: https-any}";
        let rules = "\n  - matches: [{path: {value: /proto}}]\n    backendRefs: [{name: v1, port: 8080}]";
        world.apply("tls-proto", &route_of("infra", "tls-proto", parent, &["unknown-example.org"], rules)).await;
        let answer = world.get("https", "unknown-example.org", "/proto").tls("unknown-example.org").reaches("v1").await;
        assert_eq!(answer.reached("x-forwarded-proto"), "https");
    });
}

#[test]
fn a_renewed_certificate_is_used_at_once() {
    traffic(async |world| {
        let gateway = |port: u16| {
            format!(
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: renewed, namespace: infra}}\n\
                 spec:\n  gatewayClassName: tombolo\n  listeners:\n  - name: https\n    port: {port}\n    protocol: HTTPS\n\
                 \x20   tls: {{certificateRefs: [{{name: renewed}}]}}\n---\n"
            )
        };
        let [old, new] = [(); 2].map(|()| Certificate::new("infra", "renewed", &["renewed.test"]));
        let rules = "\n  - backendRefs: [{name: v1, port: 8080}]";
        let route = route_of("infra", "renewed", "{name: renewed}", &["renewed.test"], rules);
        world.apply("renewed", &(gateway(free_ports(1)[0]) + &route)).await;
        world.apply("renewed-secret", &old.secret).await;
        let ask = world.get_from("infra/renewed", "https", "renewed.test", "/").await.tls("renewed.test");
        ask.clone().trusting(&[&old]).reaches("v1").await;
        assert!(ask.clone().trusting(&[&new]).send().await.is_err());
        world.apply("renewed-secret", &new.secret).await;
        ask.clone().trusting(&[&new]).reaches("v1").await;
        assert!(ask.trusting(&[&old]).send().await.is_err());
    });
}

/// Clients never say an address there (RFC 6066, section 3).
#[test]
fn a_listener_by_an_address_takes_no_connection_and_costs_no_other() {
    traffic(async |world| {
        let (port, long) = (free_ports(1)[0], format!("{}.unusual.test", "a".repeat(64)));
        let listeners = [("address", "192.0.2.1"), ("long", &long), ("usual", "usual.test")].map(|(name, host)| {
            format!(
                "  - {{name: {name}, hostname: {host}, port: {port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: usual}}]}}}}\n"
            )
        });
        let gateway = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: usual, namespace: infra}}\n\
             spec:\n  gatewayClassName: tombolo\n  listeners:\n{}---\n",
            listeners.concat()
        );
        let certificate = Certificate::new("infra", "usual", &["usual.test"]);
        let route = route_of("infra", "usual", "{name: usual}", &[], "\n  - backendRefs: [{name: v1, port: 8080}]");
        world.apply("usual", &(gateway + &certificate.secret + "---\n" + &route)).await;
        let ask = world.get_from("infra/usual", "usual", "usual.test", "/").await.tls("usual.test");
        ask.trusting(&[&certificate]).reaches("v1").await;
    });
}
