//! One run for all cases: two Gateways, some services, and who may use them.

use super::{
    certificates::{Certificate, trusting},
    client::Ask,
    echo::{Echo, Speaks},
    eventually,
    run::{self, Run},
};
use rustls::ClientConfig;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, LazyLock},
};
use tokio::runtime::Runtime;

/// Listeners of one port: name and host.
type Listeners = &'static [(&'static str, Option<&'static str>)];

/// HTTP ports of Gateway `infra/edge`.
const HTTP_PORTS: [(&str, Listeners); 6] = [
    ("http", &[("http", None)]),
    ("second", &[("second", None)]),
    (
        "isolation",
        &[
            ("isolation-any", None),
            ("isolation-example", Some("*.example.com")),
            ("isolation-foo", Some("*.foo.example.com")),
            ("isolation-abc", Some("abc.foo.example.com")),
        ],
    ),
    (
        "named",
        &[
            ("named-any", None),
            ("named-example", Some("*.example.com")),
            ("named-foo", Some("*.foo.example.com")),
            ("named-abc", Some("abc.foo.example.com")),
        ],
    ),
    (
        "names",
        &[
            ("names-bar", Some("bar.com")),
            ("names-foo-bar", Some("foo.bar.com")),
            ("names-any-bar", Some("*.bar.com")),
            ("names-any-foo", Some("*.foo.com")),
        ],
    ),
    (
        "intersection",
        &[
            ("intersection-exact", Some("very.specific.com")),
            ("intersection-wildcard", Some("*.wildcard.io")),
            ("intersection-other", Some("*.anotherwildcard.io")),
        ],
    ),
];

/// HTTPS listeners of Gateway `infra/edge`, on one port: name, host, and the Secret of its certificate.
const HTTPS: [(&str, Option<&str>, &str); 4] = [
    ("https-any", None, "any"),
    ("https-second", Some("second-example.org"), "second"),
    ("https-wildcard", Some("*.wildcard.org"), "wildcard"),
    ("https-fourth", Some("fourth-example.wildcard.org"), "wildcard"),
];

/// Services: namespace, name, what is spoken, `appProtocol`.
const SERVICES: [(&str, &str, Speaks, &str); 7] = [
    ("infra", "v1", Speaks::Http1, ""),
    ("infra", "v2", Speaks::Http1, ""),
    ("infra", "v3", Speaks::Http1, ""),
    ("infra", "h2c", Speaks::H2c, "kubernetes.io/h2c"),
    ("infra", "ws", Speaks::Http1, "kubernetes.io/ws"),
    ("app", "app", Speaks::Http1, ""),
    ("web", "web", Speaks::Http1, ""),
];

/// What the cases share.
pub(crate) struct World {
    /// Trusts the listeners' certificates.
    pub(super) trust: Arc<ClientConfig>,
    run: Run,
    ports: BTreeMap<&'static str, u16>,
    backends: BTreeMap<&'static str, Arc<Echo>>,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static WORLD: LazyLock<Option<World>> = LazyLock::new(|| {
    let envoy = run::envoy()?;
    Some(RUNTIME.block_on(World::start(&envoy)))
});

/// Runs a case, where there is an Envoy.
pub(crate) fn traffic(case: impl AsyncFnOnce(&World)) {
    if let Some(world) = &*WORLD {
        RUNTIME.block_on(case(world));
    }
}

impl World {
    async fn start(envoy: &std::path::Path) -> Self {
        let mut backends = BTreeMap::new();
        for (_, name, speaks, _) in SERVICES {
            backends.insert(name, Echo::start(name, speaks).await.unwrap());
        }
        let names = HTTP_PORTS.iter().map(|(name, _)| *name).chain(["https", "app"]);
        let ports: BTreeMap<_, _> = names.zip(super::free_ports(HTTP_PORTS.len() + 2)).collect();
        let any = ["example.org", "unknown-example.org"];
        let wildcard = ["third-example.wildcard.org", "fourth-example.wildcard.org"];
        let certificates = [
            Certificate::new("infra", "any", &any),
            Certificate::new("infra", "second", &["second-example.org"]),
            Certificate::new("infra", "wildcard", &wildcard),
        ];
        let mut manifests = gateways(&ports);
        for (namespace, name, _, app_protocol) in SERVICES {
            manifests += &service(namespace, name, app_protocol, backends[name].port());
        }
        for certificate in &certificates {
            manifests += &format!("---\n{}", certificate.secret);
        }
        let trust = trusting(&certificates.each_ref());
        let run = Run::start(envoy, &manifests).await;
        Self { trust, run, ports, backends }
    }

    /// Writes a file of manifests, and waits until all of it is served. `name` names the file: each case has its own.
    pub(crate) async fn apply(&self, name: &str, manifests: &str) {
        let documents: Vec<Value> = serde_saphyr::from_multiple(manifests).unwrap();
        let named = |document: &Value| {
            let text = |field: &str| document["metadata"][field].as_str().unwrap_or_default().to_owned();
            format!("{} {}/{}", document["kind"].as_str().unwrap_or_default(), text("namespace"), text("name"))
        };
        let wanted: Vec<String> = documents.iter().map(named).collect();
        self.run.write(name, manifests);
        let served = eventually(async || self.serves(&wanted).await);
        if let Err(missing) = served.await {
            panic!("{name}.yaml is not served: {missing}\n{}", self.dump().await);
        }
    }

    /// Whether these objects are known, and every proxy has accepted all that it is to have.
    async fn serves(&self, wanted: &[String]) -> Result<(), String> {
        let page = async |path| self.run.json(path).await.map_err(|error| error.to_string());
        let snapshot = page("/debug/snapshot").await?;
        let known = |name: &&String| {
            let objects = snapshot["objects"].as_array().into_iter().flatten();
            objects.into_iter().any(|object| object["object"] == name.as_str())
        };
        if let Some(missing) = wanted.iter().find(|name| !known(name)) {
            return Err(format!("{missing} is not there"));
        }
        let proxies = page("/debug/proxies").await?;
        for proxy in proxies.as_array().into_iter().flatten() {
            let open = |t: &&Value| t["pending"] != 0 || t["unanswered"].as_array().is_none_or(|n| !n.is_empty());
            let busy = proxy["types"].as_array().into_iter().flatten().find(open);
            if proxy["unread"] != 0 || busy.is_some() {
                return Err(format!("{} has yet to take {busy:?}", proxy["proxy"]));
            }
        }
        Ok(())
    }

    /// GET from a port of a Gateway, plain.
    pub(crate) fn get(&self, port: &str, host: &str, path: &str) -> Ask<'_> {
        Ask::new(self, self.address(port), host, path)
    }

    /// The backend of a name.
    pub(crate) fn backend(&self, name: &str) -> &Echo {
        &self.backends[name]
    }

    /// The number of a port.
    pub(crate) fn port(&self, name: &str) -> u16 {
        self.ports[name]
    }

    /// Removes a file of manifests.
    pub(crate) fn remove(&self, name: &str) {
        self.run.remove(name);
    }

    /// GET from a listener of a Gateway that the run has told of, plain: `infra/edge`, `http`.
    pub(crate) async fn get_from(&self, gateway: &str, listener: &str, host: &str, path: &str) -> Ask<'_> {
        let told = eventually(async || self.run.listening(gateway, listener).ok_or(())).await;
        match told {
            Ok(address) => Ask::new(self, address, host, path),
            Err(()) => panic!("nothing is said of {gateway}'s listener {listener}\n{}", self.dump().await),
        }
    }

    fn address(&self, port: &str) -> SocketAddr {
        // Gateways have an address each, in the order of their names.
        let last = if port == "app" { 1 } else { 2 };
        SocketAddr::from(([127, 0, 0, last], self.ports[port]))
    }

    /// What is said of an object: `HTTPRoute infra/paths`.
    pub(crate) async fn status(&self, object: &str) -> Value {
        let mut all = self.run.json("/debug/status").await.unwrap();
        all[object].take()
    }

    /// What may help to understand a failure.
    pub(crate) async fn dump(&self) -> String {
        self.run.dump().await
    }
}

/// HTTPRoute `infra/NAME` for host `NAME.test`, by `infra/edge`'s listener `http`.
pub(crate) fn route(name: &str, rules: &str) -> String {
    route_of("infra", name, "{name: edge, namespace: infra, sectionName: http}", &[&format!("{name}.test")], rules)
}

/// An HTTPRoute: its namespace and name, one parent, the hosts, the rules.
pub(crate) fn route_of(namespace: &str, name: &str, parent: &str, hosts: &[&str], rules: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  parentRefs: [{parent}]\n  hostnames: {hosts:?}\n  rules:{rules}\n"
    )
}

/// Gateway `infra/edge`, for every namespace, and `app/edge`, for its own.
fn gateways(ports: &BTreeMap<&str, u16>) -> String {
    let mut yaml = String::from(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {team: web}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: infra}\n\
         spec:\n  gatewayClassName: tombolo\n  listeners:\n",
    );
    let host = |host: Option<&str>| host.map(|host| format!(", hostname: \"{host}\"")).unwrap_or_default();
    let all = "allowedRoutes: {namespaces: {from: All}}";
    for (port, listeners) in HTTP_PORTS {
        for (name, hostname) in listeners {
            let (port, hostname) = (ports[port], host(*hostname));
            writeln!(yaml, "  - {{name: {name}, port: {port}, protocol: HTTP{hostname}, {all}}}").unwrap();
        }
    }
    for (name, hostname, secret) in HTTPS {
        let (port, hostname) = (ports["https"], host(hostname));
        let tls = format!("tls: {{certificateRefs: [{{name: {secret}}}]}}");
        writeln!(yaml, "  - {{name: {name}, port: {port}, protocol: HTTPS{hostname}, {tls}, {all}}}").unwrap();
    }
    let app = ports["app"];
    write!(
        yaml,
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: app}}\n\
         spec:\n  gatewayClassName: tombolo\n  listeners:\n  - {{name: http, port: {app}, protocol: HTTP}}\n"
    )
    .unwrap();
    yaml
}

/// A Service at port 8080, and its one endpoint.
fn service(namespace: &str, name: &str, app_protocol: &str, port: u16) -> String {
    let app_protocol = if app_protocol.is_empty() { String::new() } else { format!(", appProtocol: {app_protocol}") };
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{clusterIP: 10.0.0.1, ports: [{{name: main, port: 8080{app_protocol}}}]}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         addressType: IPv4\nports: [{{name: main, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
    )
}
