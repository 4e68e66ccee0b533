//! A small world in which everything can collide: few names, many contents for each.

use serde_json::{Value, json};
use tombolo_api::{AnyObject, Kind, ObjectKey, manifest};
use tombolo_core::{NamespacedName, SourceId};
use tombolo_translate::engine::{Fact, Relation};

/// The slot after those of objects: the roots that the mesh trusts.
pub(crate) const TRUST: usize = SLOTS.len();

/// What the mesh may trust: nothing, one root or another, both while one replaces the other.
const TRUSTED: &[&[&str]] = &[&[], &["ROOT A"], &["ROOT B"], &["ROOT A", "ROOT B"]];

/// One edit: which object, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit {
    /// Which of [`SLOTS`], or [`TRUST`].
    pub(crate) slot: usize,
    /// Which content; the last of each object's is its absence.
    pub(crate) content: usize,
}

/// Every object that may be there: kind, namespace, name.
pub(crate) const SLOTS: &[(Kind, &str, &str)] = &[
    (Kind::GatewayClass, "", "own"),
    (Kind::Gateway, "a", "g1"),
    (Kind::Gateway, "b", "g2"),
    (Kind::HttpRoute, "a", "r1"),
    (Kind::HttpRoute, "a", "r2"),
    (Kind::HttpRoute, "b", "r3"),
    (Kind::ReferenceGrant, "b", "grant"),
    (Kind::Namespace, "", "b"),
    (Kind::Secret, "b", "tls"),
    (Kind::Service, "a", "s1"),
    (Kind::Service, "b", "s1"),
    (Kind::EndpointSlice, "a", "e1"),
    (Kind::EndpointSlice, "a", "e2"),
    (Kind::ServiceEntry, "a", "se1"),
    (Kind::ServiceEntry, "a", "se2"),
    (Kind::ServiceEntry, "b", "se3"),
    (Kind::WorkloadEntry, "a", "w1"),
    (Kind::WorkloadEntry, "a", "w2"),
    (Kind::WorkloadGroup, "a", "wg"),
    (Kind::MeshInstallation, "", "mesh"),
    (Kind::MeshInstallation, "", "second"),
];

/// The directory that everything is from.
pub(crate) fn source() -> SourceId {
    SourceId::new("test")
}

impl Edit {
    /// The roots that are trusted from now on; `None` where an object is edited.
    pub(crate) fn trust(self) -> Option<Vec<(Relation, Fact)>> {
        let roots = TRUSTED[self.content % TRUSTED.len()].iter();
        (self.slot == TRUST).then(|| roots.map(|root| (Relation::Trust, Fact::Trust((*root).into()))).collect())
    }

    /// The object's key.
    pub(crate) fn key(self) -> ObjectKey {
        let (kind, namespace, name) = SLOTS[self.slot % SLOTS.len()];
        ObjectKey { source: source(), kind, name: NamespacedName::new(namespace, name) }
    }

    /// What it becomes; `None` where it is deleted.
    pub(crate) fn object(self) -> Option<AnyObject> {
        let key = self.key();
        let bodies = bodies(key.kind, self.content);
        let body = bodies.get(self.content % (bodies.len() + 1))?;
        let mut document = json!({
            "apiVersion": key.kind.api_version(),
            "kind": key.kind.name(),
            "metadata": {"name": key.name.name, "namespace": key.name.namespace},
        });
        if key.name.namespace.is_empty() {
            document["metadata"].as_object_mut()?.remove("namespace");
        }
        merge(&mut document, body);
        let decoded = manifest::decode(document, None);
        assert!(decoded.object.is_some(), "the universe must be valid: {:?}", decoded.problems);
        decoded.object
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.iter().for_each(|(k, v)| merge(into.entry(k).or_insert(Value::Null), v));
        }
        (into, from) => *into = from.clone(),
    }
}

fn bodies(kind: Kind, seed: usize) -> Vec<Value> {
    match kind {
        Kind::GatewayClass => ["mesh.tombolo.dev/gateway-controller", "example.com/other"]
            .map(|c| json!({"spec": {"controllerName": c}}))
            .into(),
        Kind::Gateway => gateways(),
        Kind::HttpRoute => routes(seed),
        Kind::ReferenceGrant => vec![
            json!({"spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "a"}],
                "to": [{"group": "", "kind": "Service"}]}}),
            json!({"spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "a"}],
                "to": [{"group": "", "kind": "Secret", "name": "tls"}]}}),
        ],
        Kind::Namespace => vec![json!({"metadata": {"labels": {"team": "x"}}}), json!({})],
        Kind::Secret => vec![json!({"type": "Opaque", "stringData": {"tls.crt": "x"}})],
        Kind::Service => services(),
        Kind::EndpointSlice => slices(),
        Kind::ServiceEntry => entries(),
        Kind::WorkloadEntry => workloads(),
        Kind::WorkloadGroup => vec![
            json!({"spec": {"template": {"labels": {"app": "vm"}, "ports": {"http": 9090}, "locality": "r/z1", "weight": 3}}}),
            json!({"spec": {"metadata": {"labels": {"app": "other"}}, "template": {"serviceAccount": "sa"},
                            "probe": {"tcpSocket": {"port": 9090}}}}),
            json!({"spec": {"metadata": {"labels": {"app": "vm"}, "annotations": {"mesh.tombolo.dev/agent": "local"}},
                            "template": {"serviceAccount": "sa", "ports": {"web": 9090, "http2": 9091}}}}),
        ],
        Kind::MeshInstallation => vec![
            json!({"spec": {"mesh": {"outboundTraffic": "RegistryOnly"}}}),
            json!({"spec": {"mesh": {"accessLog": {}}}}),
            json!({"spec": {"mesh": {"mtls": {"mode": "STRICT"}}}}),
            json!({"spec": {"mesh": {"trustDomain": "example.org", "trustDomainAliases": ["cluster.local"]}}}),
            json!({"spec": {"mesh": {"dns": {"autoAllocate": false}}}}),
        ],
        Kind::ConfigMap => vec![],
    }
}

fn gateways() -> Vec<Value> {
    let gateway = |class: &str, listeners: Value| json!({"spec": {"gatewayClassName": class, "listeners": listeners}});
    let all = json!({"namespaces": {"from": "All"}});
    vec![
        gateway("own", json!([{"name": "http", "port": 80, "protocol": "HTTP"}])),
        gateway("tombolo", json!([{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": all}])),
        gateway(
            "own",
            json!([
                {"name": "any", "port": 80, "protocol": "HTTP", "allowedRoutes": all},
                {"name": "wild", "port": 80, "protocol": "HTTP", "hostname": "*.x.com", "allowedRoutes": all},
                {"name": "exact", "port": 80, "protocol": "HTTP", "hostname": "a.x.com"},
            ]),
        ),
        gateway(
            "own",
            json!([
                {"name": "tls", "port": 443, "protocol": "HTTPS",
                 "tls": {"certificateRefs": [{"name": "tls", "namespace": "b"}]}, "allowedRoutes": all},
                {"name": "http", "port": 8080, "protocol": "HTTP",
                 "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "x"}}}}},
            ]),
        ),
        gateway(
            "own",
            json!([
                {"name": "one", "port": 80, "protocol": "HTTP"},
                {"name": "two", "port": 80, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "tls"}]}},
            ]),
        ),
    ]
}

fn routes(seed: usize) -> Vec<Value> {
    let parents = [
        json!([{"name": "g1", "namespace": "a"}]),
        json!([{"name": "g1", "namespace": "a"}, {"name": "g2", "namespace": "b"}]),
        json!([{"name": "g1", "namespace": "a", "sectionName": "wild"}]),
        json!([{"name": "g2", "namespace": "b", "port": 80}]),
    ];
    let hosts = [json!([]), json!(["a.x.com"]), json!(["*.x.com", "y.com"])];
    let rules = [
        json!([{"backendRefs": [{"name": "s1", "port": 80}]}]),
        json!([{"backendRefs": [{"name": "s1", "port": 80, "weight": 1}, {"name": "s1", "namespace": "b", "port": 80, "weight": 3}]}]),
        json!([{"matches": [{"path": {"type": "Exact", "value": "/x"}}, {"path": {"value": "/p"}, "method": "GET"}],
                "backendRefs": [{"group": "networking.istio.io", "kind": "Hostname", "name": "h.example.com", "port": 80}]},
               {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}]),
        json!([{"name": "missing", "backendRefs": [{"name": "nobody", "port": 80}]}]),
    ];
    // More contents than there are slots for: the seed picks a diagonal through the product.
    (0..24)
        .map(|i| {
            let i = i + seed;
            json!({"spec": {
                "parentRefs": parents[i % parents.len()],
                "hostnames": hosts[(i / 2) % hosts.len()],
                "rules": rules[(i / 3) % rules.len()],
            }})
        })
        .collect()
}

fn services() -> Vec<Value> {
    let web = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    vec![
        json!({"spec": {"ports": web, "clusterIP": "10.0.0.1"}}),
        json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": "web"}, {"name": "tcp", "port": 90}], "selector": {"app": "vm"}}}),
        json!({"metadata": {"annotations": {"networking.istio.io/exportTo": "."}}, "spec": {"ports": web}}),
        json!({"spec": {"ports": web, "clusterIP": "None", "publishNotReadyAddresses": true}}),
        json!({"spec": {"type": "ExternalName", "externalName": "elsewhere.example.com"}}),
        json!({"spec": {"ports": web, "trafficDistribution": "PreferClose", "sessionAffinity": "ClientIP"}}),
    ]
}

fn slices() -> Vec<Value> {
    let slice = |endpoints: Value, kind: &str| {
        json!({"metadata": {"labels": {"kubernetes.io/service-name": "s1"}}, "addressType": kind,
               "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints})
    };
    vec![
        slice(
            json!([{"addresses": ["10.1.0.1"], "hostname": "i0"}, {"addresses": ["10.1.0.2"], "zone": "z1"}]),
            "IPv4",
        ),
        slice(
            json!([{"addresses": ["10.1.0.2"], "zone": "z1", "hostname": "i0"}, {"addresses": ["10.1.0.3"], "hostname": "i1", "conditions": {"ready": false}}]),
            "IPv4",
        ),
        slice(
            json!([{"addresses": ["10.1.0.4"], "conditions": {"ready": false, "serving": true, "terminating": true}}]),
            "IPv4",
        ),
        slice(json!([{"addresses": ["fd00::1"], "hints": {"forZones": [{"name": "z1"}]}}]), "IPv6"),
        slice(json!([{"addresses": ["pod.example.com"]}]), "FQDN"),
    ]
}

fn entries() -> Vec<Value> {
    let port = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    vec![
        json!({"spec": {"hosts": ["h.example.com"], "ports": port, "resolution": "STATIC", "endpoints": [{"address": "10.2.0.1"}]}}),
        json!({"spec": {"hosts": ["h.example.com"], "ports": port, "resolution": "STATIC", "workloadSelector": {"labels": {"app": "vm"}}}}),
        json!({"spec": {"hosts": ["h.example.com", "i.example.com"], "ports": port, "resolution": "DNS", "exportTo": ["."]}}),
        json!({"spec": {"hosts": ["s1.a.svc.cluster.local"], "ports": [{"number": 80, "name": "tcp", "protocol": "TCP"}],
                        "resolution": "STATIC", "endpoints": [{"address": "10.2.0.2", "weight": 2}]}}),
        json!({"spec": {"hosts": ["h.example.com"], "ports": [{"number": 81, "name": "tcp", "protocol": "TCP"}],
                        "resolution": "NONE", "addresses": ["10.3.0.1"], "exportTo": ["a", "b"]}}),
        // The name of an instance, and a Service's host that a namespace sees otherwise.
        json!({"spec": {"hosts": ["i0.s1.a.svc.cluster.local", "s1.a.svc.cluster.local"], "addresses": ["10.3.0.2", "10.4.0.0/16"], "ports": port,
                        "resolution": "NONE", "exportTo": ["."]}}),
    ]
}

fn workloads() -> Vec<Value> {
    vec![
        json!({"spec": {"address": "10.4.0.1", "labels": {"app": "vm"}}}),
        json!({"metadata": {"annotations": {"istio.io/autoRegistrationGroup": "wg"}}, "spec": {"address": "10.4.0.2"}}),
        json!({"spec": {"address": "10.4.0.3", "labels": {"app": "other"}, "ports": {"http": 7070}, "locality": "r/z2"}}),
        json!({"spec": {"address": "10.4.0.1", "labels": {"app": "vm", "security.istio.io/tlsMode": "istio"}, "serviceAccount": "w"}}),
        json!({"metadata": {"annotations": {"mesh.tombolo.dev/agent": "local"}},
               "spec": {"address": "127.0.0.5", "labels": {"app": "vm"}, "ports": {"http": 7070}, "serviceAccount": "of/nobody"}}),
        json!({"metadata": {"annotations": {"mesh.tombolo.dev/agent": "local"}},
               "spec": {"address": "127.0.0.1", "labels": {"app": "vm", "security.istio.io/tlsMode": "disabled"}}}),
    ]
}
