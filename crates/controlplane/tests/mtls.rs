//! Mutual TLS between real Envoys: who is let in, who is believed, and what the application learns of its caller.

#![allow(clippy::unwrap_used, clippy::panic)] // a test's helpers fail as tests do

mod mesh;
#[allow(dead_code)] // golden tests use the rest
mod support;

use mesh::{
    App, Mesh,
    client::{self, Certificate},
    eventually,
};
use std::net::{IpAddr, SocketAddr};
use support::envoy;

/// Applications behind the proxy of `reviews`: each answers whatever it is asked.
struct Reviews {
    web: App,
    grpc: App,
    raw: App,
}

impl Reviews {
    fn start() -> Self {
        Self { web: App::start(), grpc: App::start(), raw: App::start() }
    }

    /// `shopper` calls, `reviews` serves; each has a local agent.
    fn manifests(&self, shopper: IpAddr, reviews: IpAddr, account: &str) -> String {
        let Self { web, grpc, raw } = self;
        let (web, grpc, raw) = (web.port, grpc.port, raw.port);
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: reviews, namespace: shop}}
spec:
  selector: {{app: reviews}}
  ports:
  - {{name: http, port: 80, targetPort: {web}}}
  - {{name: grpc, port: 81, targetPort: {grpc}}}
  - {{name: tcp, port: 82, targetPort: {raw}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: shopper, namespace: shop, annotations: {{mesh.tombolo.dev/agent: local}}}}
spec: {{address: {shopper}, serviceAccount: shopper}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: reviews, namespace: shop, labels: {{app: reviews}}, annotations: {{mesh.tombolo.dev/agent: local}}}}
spec: {{address: {reviews}, serviceAccount: {account}}}
"
        )
    }
}

const STRICT: &str = "
apiVersion: mesh.tombolo.dev/v1alpha1
kind: MeshInstallation
metadata: {name: default}
spec: {mesh: {mtls: {mode: STRICT}}}
";

const SHOPPER: &str = "spiffe://cluster.local/ns/shop/sa/shopper";
const REVIEWS: &str = "spiffe://cluster.local/ns/shop/sa/reviews";

#[test]
fn a_call_by_name_is_encrypted_and_says_who_calls() {
    let Some(envoy) = envoy::binary() else { return };
    let (apps, [shopper, reviews]) = (Reviews::start(), mesh::addresses(1));
    let mesh = Mesh::start(envoy, &apps.manifests(shopper, reviews, "reviews"));
    let caller = mesh.proxy("shopper", shopper, SHOPPER);
    let called = mesh.proxy("reviews", reviews, REVIEWS);
    let proxy = SocketAddr::new(shopper, 15001);
    for url in ["http://reviews/", "http://reviews.shop:80/", "http://reviews.shop.svc.cluster.local/"] {
        let heard = eventually(
            || client::get(proxy, url, "").filter(|answer| answer.status == 200),
            || format!("{url}: {:?}\n{}\n{}", client::get(proxy, url, ""), caller.log(), called.log()),
        );
        assert!(heard.body.contains(&format!("URI={SHOPPER}")), "{url}: {}", heard.body);
    }
    let handshakes = |stats: std::collections::BTreeMap<String, u64>| {
        stats.iter().filter(|(name, _)| name.ends_with("ssl.handshake")).map(|(_, count)| count).sum::<u64>()
    };
    assert!(handshakes(caller.stats()) > 0 && handshakes(called.stats()) > 0);
    // HTTP/2 where that is what the service speaks: the application hears its first words.
    client::get(proxy, "http://reviews:81/", "");
    eventually(|| apps.grpc.heard(b"PRI * HTTP/2.0"), || format!("{:?}\n{}", apps.grpc, called.log()));
    // What the mesh does not know goes where it says, as it is.
    let outside = client::get(proxy, &format!("http://127.0.0.1:{}/", apps.raw.port), "").unwrap();
    assert!(outside.status == 200 && !outside.body.contains("spiffe"), "{outside:?}");
    let itself = client::get(proxy, &format!("http://{proxy}/"), "").unwrap();
    assert_eq!(itself.status, 508, "a request does not go round in circles: {itself:?}");
}

#[test]
fn who_is_let_in_is_as_the_mesh_says() {
    let Some(envoy) = envoy::binary() else { return };
    let (apps, [shopper, reviews]) = (Reviews::start(), mesh::addresses(2));
    let mesh = Mesh::start(envoy, &apps.manifests(shopper, reviews, "reviews"));
    let called = mesh.proxy("reviews", reviews, REVIEWS);
    let (web, raw) = (SocketAddr::new(reviews, apps.web.port), SocketAddr::new(reviews, apps.raw.port));
    let forged = format!("x-forwarded-client-cert: URI={SHOPPER}\r\n");
    let plain = eventually(|| client::get(web, "/", &forged), || called.log());
    assert!(plain.status == 200 && !plain.body.contains("spiffe"), "{plain:?}");
    let own = mesh.authority.issue(SHOPPER);
    let let_in = |at, certificate: Option<&Certificate>| client::get_tls(at, &["istio"], certificate);
    let answer = let_in(web, Some(&own)).unwrap_or_else(|error| panic!("{error}\n{}", called.log()));
    assert!(answer.contains(&format!("URI={SHOPPER}")), "{answer}");
    // The application's own TLS reaches it as it is: its first byte is that of a handshake.
    assert!(client::get_tls(raw, &[], None).is_err() && client::get_tls(web, &["h2"], None).is_err());
    for app in [&apps.raw, &apps.web] {
        eventually(|| app.heard(&[0x16, 3]), || format!("{app:?}"));
    }
    let refused = |at| {
        let foreign = mesh.authority.issue("spiffe://elsewhere.example/ns/shop/sa/shopper");
        let unknown = mesh::Authority::new().issue(SHOPPER);
        for (who, certificate) in [("nobody", None), ("foreign", Some(&foreign)), ("unknown", Some(&unknown))] {
            let answer = let_in(at, certificate);
            assert!(answer.is_err(), "{who} is let in: {answer:?}");
        }
    };
    refused(web);
    refused(raw);
    assert!(let_in(raw, Some(&own)).unwrap().starts_with("HTTP/1.1 200"), "bytes are carried too");
    mesh.write("strict", STRICT);
    eventually(|| client::get(web, "/", "").is_none().then_some(()), || called.log());
    eventually(|| client::get(raw, "/", "").is_none().then_some(()), || called.log());
    assert!(let_in(web, Some(&own)).unwrap().contains(SHOPPER));
    refused(web);
    refused(raw);
}

#[test]
fn whoever_answers_for_another_is_not_believed() {
    let Some(envoy) = envoy::binary() else { return };
    // The mesh expects somebody else at the address, then somebody whom no certificate can name.
    for (test, account) in [(3, "other"), (4, "'of/nobody'")] {
        let (apps, [shopper, reviews]) = (Reviews::start(), mesh::addresses(test));
        let mesh = Mesh::start(envoy.clone(), &apps.manifests(shopper, reviews, account));
        let caller = mesh.proxy("shopper", shopper, SHOPPER);
        let called = mesh.proxy("reviews", reviews, REVIEWS);
        let proxy = SocketAddr::new(shopper, 15001);
        let status = || client::get(proxy, "http://reviews/", "").map(|answer| answer.status);
        let told = || format!("{account}: {:?}\n{}\n{}", status(), caller.log(), called.log());
        let disbelieved = || {
            assert_ne!(status(), Some(200), "{account}");
            let stats = caller.stats();
            stats.iter().any(|(name, count)| name.ends_with("ssl.fail_verify_san") && *count > 0).then_some(())
        };
        eventually(disbelieved, told);
        assert_eq!((status(), apps.web.count()), (Some(503), 0), "{account}");
        mesh.write("base", &apps.manifests(shopper, reviews, "reviews"));
        eventually(|| (status() == Some(200)).then_some(()), told);
    }
}
