//! Who a proxy says that it is, as Istio's proxies say it. The control plane believes only what the certificate proves.

use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt, net::IpAddr};

/// What a proxy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It serves one workload.
    #[default]
    Sidecar,
    /// It is a gateway.
    Router,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sidecar => "sidecar",
            Self::Router => "router",
        })
    }
}

/// A proxy, as it introduces itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is for.
    pub kind: Kind,
    /// Its pod's or machine's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What it may be known as in logs; `NAME.NAMESPACE` where absent.
    pub service_cluster: Option<String>,
    /// The ServiceAccount that it runs as.
    pub service_account: String,
    /// The cluster's DNS domain, such as `cluster.local`.
    pub domain: String,
    /// Its addresses, the one that it is known by first.
    pub addresses: Vec<IpAddr>,
    /// Its workload's labels.
    pub labels: BTreeMap<String, String>,
    /// What else is told: `CLUSTER_ID`, `NETWORK`, `MESH_ID`, `WORKLOAD_NAME`, `NODE_NAME`, `DNS_CAPTURE`...
    pub metadata: Map<String, Value>,
}

impl Node {
    /// `sidecar~10.0.0.7~web-0.shop~shop.svc.cluster.local`
    pub fn id(&self) -> String {
        let Self { kind, name, namespace, domain, .. } = self;
        let address = self.addresses.first().map(ToString::to_string).unwrap_or_default();
        format!("{kind}~{address}~{name}.{namespace}~{namespace}.svc.{domain}")
    }

    /// What it stands for in logs.
    pub fn cluster(&self) -> String {
        self.service_cluster.clone().unwrap_or_else(|| format!("{}.{}", self.name, self.namespace))
    }

    /// What the control plane is told besides. What the agent knows itself counts more than what it was given.
    pub fn metadata(&self) -> Map<String, Value> {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        let own = [
            ("NAME", json!(self.name)),
            ("NAMESPACE", json!(self.namespace)),
            ("SERVICE_ACCOUNT", json!(self.service_account)),
            ("INSTANCE_IPS", json!(addresses.join(","))),
            ("LABELS", json!(self.labels)),
        ];
        let mut metadata = self.metadata.clone();
        metadata.extend(own.map(|(key, value)| (key.to_owned(), value)));
        metadata
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A proxy to try things with.
    pub(crate) fn node() -> Node {
        Node {
            kind: Kind::Sidecar,
            name: "web-0".into(),
            namespace: "shop".into(),
            service_cluster: None,
            service_account: "web".into(),
            domain: "cluster.local".into(),
            addresses: vec![[10, 0, 0, 7].into(), "fd00::7".parse().unwrap()],
            labels: [("app".to_owned(), "web".to_owned())].into(),
            metadata: Map::from_iter([("NETWORK".to_owned(), json!("vms")), ("NAMESPACE".to_owned(), json!("forged"))]),
        }
    }

    #[test]
    fn a_node_is_introduced_as_istios_are() {
        let mut node = node();
        assert_eq!(node.id(), "sidecar~10.0.0.7~web-0.shop~shop.svc.cluster.local");
        assert_eq!(node.cluster(), "web-0.shop");
        let expected = json!({
            "NAME": "web-0",
            "NAMESPACE": "shop",
            "SERVICE_ACCOUNT": "web",
            "INSTANCE_IPS": "10.0.0.7,fd00::7",
            "LABELS": {"app": "web"},
            "NETWORK": "vms",
        });
        assert_eq!(Value::Object(node.metadata()), expected);
        node.kind = Kind::Router;
        assert_eq!(node.id(), "router~10.0.0.7~web-0.shop~shop.svc.cluster.local");
    }
}
