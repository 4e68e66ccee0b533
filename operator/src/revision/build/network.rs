//! How a control plane is reached, and by whom.

use super::{metadata, selector};
use crate::{
    apply::Wanted,
    kinds,
    names::{self, port},
    revision::validate::Revision,
};
use serde_json::{Value, json};

pub(super) fn objects(revision: &Revision) -> Vec<Wanted> {
    let policy = revision.settings.discovery.network_policy.then(|| policy(revision));
    std::iter::once(service(revision)).chain(policy).collect()
}

/// The ports of a Service before control planes: a revision's own, and a tag's.
pub(crate) fn ports() -> Value {
    let port = |name: &str, number: u16, protocol: &str| json!({"name": name, "port": number, "protocol": "TCP", "targetPort": number, "appProtocol": protocol});
    json!([
        port("grpc-discovery", port::DISCOVERY, "grpc"),
        port("https-webhook", port::WEBHOOK, "https"),
        port("http-monitoring", port::MONITORING, "http"),
    ])
}

fn service(revision: &Revision) -> Wanted {
    let body = json!({
        "metadata": metadata(revision, kinds::SERVICE, &revision.objects()),
        "spec": {"type": "ClusterIP", "selector": selector(revision), "ports": ports()},
    });
    Wanted::new(kinds::SERVICE, body)
}

/// Proxies may be anywhere, outside of the cluster too, and so may be the API server and the kubelet; metrics and debug pages
/// are for the installation's namespace, where replicas ask one another what their proxies reject, for namespaces that say that they
/// monitor, and for the operator, wherever it is: it asks who is connected.
fn policy(revision: &Revision) -> Wanted {
    let operator = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": revision.operators}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": names::MANAGER}},
    });
    let open = [port::DISCOVERY, port::WEBHOOK, port::HEALTH].map(|port| json!({"port": port, "protocol": "TCP"}));
    let body = json!({
        "metadata": metadata(revision, kinds::NETWORK_POLICY, &revision.objects()),
        "spec": {
            "podSelector": {"matchLabels": selector(revision)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": open},
                {
                    "ports": [{"port": port::MONITORING, "protocol": "TCP"}],
                    "from": [
                        {"podSelector": {}},
                        {"namespaceSelector": {"matchLabels": {names::MONITORING: "true"}}},
                        operator,
                    ],
                },
            ],
        },
    });
    Wanted::new(kinds::NETWORK_POLICY, body)
}
