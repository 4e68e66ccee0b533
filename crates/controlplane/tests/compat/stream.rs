//! The config stream, in both protocols, with the node as Istio's agents introduce themselves.

use super::{
    client::{Call, Connection, Refused},
    wire::{self, DELTA, STATE_OF_THE_WORLD},
};
use serde_json::{Value, json};
use tombolo_proto::envoy::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse},
    },
    google::{
        protobuf::{self, Struct, value::Kind},
        rpc::Status,
    },
};

/// The node of a workload, with the metadata of a machine whose connections are not captured.
pub(crate) fn node(workload: &str, namespace: &str, interception: &str) -> Node {
    let id = format!("sidecar~127.0.0.21~{workload}.{namespace}~{namespace}.svc.cluster.local");
    let metadata = json!({
        "NAMESPACE": namespace,
        "SERVICE_ACCOUNT": "db",
        "WORKLOAD_NAME": "db",
        "NAME": workload,
        "CLUSTER_ID": "Kubernetes",
        "MESH_ID": "cluster.local",
        "INSTANCE_IPS": "127.0.0.21",
        "INTERCEPTION_MODE": interception,
        "DNS_CAPTURE": "true",
        "ISTIO_VERSION": "1.27.0",
        "LABELS": {"app": "db", "service.istio.io/canonical-name": "db"},
        "PROXY_CONFIG": {"concurrency": 2, "discoveryAddress": "istiod.istio-system.svc:15012"},
    });
    Node { id, cluster: format!("db.{namespace}"), metadata: record(&metadata), ..Node::default() }
}

/// The node of a gateway.
pub(crate) fn gateway(name: &str, namespace: &str) -> Node {
    let id = format!("router~127.0.0.21~{name}-5f6.{namespace}~{namespace}.svc.cluster.local");
    let metadata = json!({"NAMESPACE": namespace, "LABELS": {"gateway.networking.k8s.io/gateway-name": name}});
    Node { id, metadata: record(&metadata), ..Node::default() }
}

fn record(value: &Value) -> Option<Struct> {
    let Some(Kind::StructValue(record)) = protobuf_value(value).kind else { panic!("{value}") };
    Some(record)
}

fn protobuf_value(value: &Value) -> protobuf::Value {
    let kind = match value {
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), protobuf_value(value)));
            Kind::StructValue(Struct { fields: fields.collect() })
        }
        other => panic!("{other}"),
    };
    protobuf::Value { kind: Some(kind) }
}

fn error(message: &str) -> Status {
    Status { code: 13, message: message.to_owned(), ..Status::default() }
}

/// A delta stream.
pub(crate) struct Delta(Call);

impl Delta {
    /// Opens it: the first request asks for these names of a type, and introduces the node.
    pub(crate) async fn open(connection: &Connection, node: Node, type_url: &str, names: &[&str]) -> Self {
        let mut stream = Self(connection.call(DELTA).await);
        stream.subscribe(Some(node), type_url, names);
        stream
    }

    pub(crate) fn ask(&mut self, type_url: &str, names: &[&str]) {
        self.subscribe(None, type_url, names);
    }

    fn subscribe(&mut self, node: Option<Node>, type_url: &str, names: &[&str]) {
        let resource_names_subscribe = names.iter().map(ToString::to_string).collect();
        let type_url = type_url.to_owned();
        self.0.send(&DeltaDiscoveryRequest { node, type_url, resource_names_subscribe, ..Default::default() });
    }

    /// Says how the workload is; with a number, as our agents do.
    pub(crate) fn report(&mut self, sequence: Option<u64>, unhealthy: Option<&str>) {
        let type_url = if sequence.is_some() { wire::HEALTH_REPORT } else { wire::HEALTH }.to_owned();
        let response_nonce = sequence.map(|sequence| sequence.to_string()).unwrap_or_default();
        let error_detail = unhealthy.map(error);
        self.0.send(&DeltaDiscoveryRequest { type_url, response_nonce, error_detail, ..Default::default() });
    }

    /// The next response, which is accepted unless it acknowledges a report.
    pub(crate) async fn next(&mut self) -> Result<DeltaDiscoveryResponse, Refused> {
        let response: DeltaDiscoveryResponse = self.0.receive().await?;
        if response.type_url != wire::HEALTH_REPORT {
            let (type_url, response_nonce) = (response.type_url.clone(), response.nonce.clone());
            self.0.send(&DeltaDiscoveryRequest { type_url, response_nonce, ..Default::default() });
        }
        Ok(response)
    }

    /// Rejects the next response.
    pub(crate) async fn reject(&mut self, words: &str) {
        let response: DeltaDiscoveryResponse = self.0.receive().await.unwrap();
        let (type_url, response_nonce, error_detail) = (response.type_url, response.nonce, Some(error(words)));
        self.0.send(&DeltaDiscoveryRequest { type_url, response_nonce, error_detail, ..Default::default() });
    }
}

/// A state-of-the-world stream.
pub(crate) struct World(Call);

impl World {
    /// Opens it.
    pub(crate) async fn open(connection: &Connection, node: Node, type_url: &str, names: &[&str]) -> Self {
        let mut stream = Self(connection.call(STATE_OF_THE_WORLD).await);
        stream.request(Some(node), type_url, names);
        stream
    }

    pub(crate) fn ask(&mut self, type_url: &str, names: &[&str]) {
        self.request(None, type_url, names);
    }

    fn request(&mut self, node: Option<Node>, type_url: &str, names: &[&str]) {
        let resource_names = names.iter().map(ToString::to_string).collect();
        self.0.send(&DiscoveryRequest { node, type_url: type_url.to_owned(), resource_names, ..Default::default() });
    }

    /// As Istio's agents say it.
    pub(crate) fn report(&mut self, unhealthy: Option<&str>) {
        let (type_url, error_detail) = (wire::HEALTH.to_owned(), unhealthy.map(error));
        self.0.send(&DiscoveryRequest { type_url, error_detail, ..Default::default() });
    }

    /// The next response, accepted.
    pub(crate) async fn next(&mut self, names: &[&str]) -> Result<DiscoveryResponse, Refused> {
        let response: DiscoveryResponse = self.0.receive().await?;
        self.0.send(&DiscoveryRequest {
            type_url: response.type_url.clone(),
            version_info: response.version_info.clone(),
            response_nonce: response.nonce.clone(),
            resource_names: names.iter().map(ToString::to_string).collect(),
            ..Default::default()
        });
        Ok(response)
    }
}
