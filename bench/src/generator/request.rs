//! `DeltaDiscoveryRequest`s, encoded by hand as gRPC messages, and the node that the first one carries.

use super::wire::GRPC_HEADER;
use bytes::{BufMut, Bytes, BytesMut};
use prost::{
    Message,
    encoding::{encode_varint, encoded_len_varint},
};
use serde_json::{Value, json};
use tombolo_proto::{
    ResourceType,
    envoy::{
        envoy::config::core::v3::Node,
        google::protobuf::{self, ListValue, Struct, value::Kind},
    },
};

const NODE: u8 = 1;
const TYPE_URL: u8 = 2;
const SUBSCRIBE: u8 = 3;
const UNSUBSCRIBE: u8 = 4;
const INITIAL_VERSIONS: u8 = 5;
/// Of the fields above, the one that tells an answer to a response from a request of the client's own.
pub(super) const RESPONSE_NONCE: u8 = 6;

/// A request that is being put together, in the order in which Envoy's own encoder would put it.
pub(super) struct Request {
    bytes: BytesMut,
}

impl Request {
    /// A request for a type, with the node on a stream's first.
    pub(super) fn new(kind: ResourceType, node: Option<&[u8]>) -> Self {
        let mut bytes = BytesMut::zeroed(GRPC_HEADER);
        if let Some(node) = node {
            put(&mut bytes, NODE, node);
        }
        put(&mut bytes, TYPE_URL, kind.url().as_bytes());
        Self { bytes }
    }

    /// The acknowledgement of a response.
    pub(super) fn ack(kind: ResourceType, nonce: &str) -> Bytes {
        let mut request = Self::new(kind, None);
        put(&mut request.bytes, RESPONSE_NONCE, nonce.as_bytes());
        request.finish()
    }

    /// Asks for a name.
    pub(super) fn subscribe(&mut self, name: &str) {
        put(&mut self.bytes, SUBSCRIBE, name.as_bytes());
    }

    /// Asks for a name no longer.
    pub(super) fn unsubscribe(&mut self, name: &str) {
        put(&mut self.bytes, UNSUBSCRIBE, name.as_bytes());
    }

    /// Says which version of a resource is held, on the first request of a new stream.
    pub(super) fn holds(&mut self, name: &str, version: &str) {
        head(&mut self.bytes, INITIAL_VERSIONS, field_len(name) + field_len(version));
        put(&mut self.bytes, 1, name.as_bytes());
        put(&mut self.bytes, 2, version.as_bytes());
    }

    /// The gRPC message.
    pub(super) fn finish(mut self) -> Bytes {
        let len = u32::try_from(self.bytes.len() - GRPC_HEADER).unwrap_or(u32::MAX);
        self.bytes[1..GRPC_HEADER].copy_from_slice(&len.to_be_bytes());
        self.bytes.freeze()
    }
}

fn put(out: &mut BytesMut, field: u8, content: &[u8]) {
    head(out, field, content.len());
    out.put_slice(content);
}

fn head(out: &mut BytesMut, field: u8, len: usize) {
    out.put_u8(field << 3 | 2);
    encode_varint(len as u64, out);
}

fn field_len(text: &str) -> usize {
    1 + encoded_len_varint(text.len() as u64) + text.len()
}

/// The encoded node of the nth client, a sidecar of a namespace: id and metadata as Istio's agents send them.
pub(super) fn node(nth: usize, namespace: &str) -> Vec<u8> {
    let ip = format!("10.{}.{}.{}", 128 + (nth >> 16 & 0x7f), nth >> 8 & 0xff, nth & 0xff);
    let name = format!("client-{nth:05}");
    let metadata = json!({
        "CLUSTER_ID": "Kubernetes",
        "DNS_AUTO_ALLOCATE": "true",
        "DNS_CAPTURE": "true",
        "INSTANCE_IPS": ip,
        "INTERCEPTION_MODE": "REDIRECT",
        "ISTIO_VERSION": "1.32.0",
        "LABELS": {"app": "client", "version": "v1"},
        "MESH_ID": "cluster.local",
        "NAMESPACE": namespace,
        "NODE_NAME": format!("node-{:02}", nth % 50),
        "POD_PORTS": "[{\"name\":\"http\",\"containerPort\":8080,\"protocol\":\"TCP\"}]",
        "PROXY_CONFIG": {},
        "SERVICE_ACCOUNT": "default",
        "WORKLOAD_NAME": "client",
    });
    let Some(Kind::StructValue(metadata)) = value(&metadata).kind else { return Vec::new() };
    let node = Node {
        id: format!("sidecar~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local"),
        cluster: format!("client.{namespace}"),
        metadata: Some(metadata),
        user_agent_name: "envoy".into(),
        ..Default::default()
    };
    node.encode_to_vec()
}

fn value(json: &Value) -> protobuf::Value {
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(list) => Kind::ListValue(ListValue { values: list.iter().map(value).collect() }),
        Value::Object(map) => {
            Kind::StructValue(Struct { fields: map.iter().map(|(k, v)| (k.clone(), value(v))).collect() })
        }
    };
    protobuf::Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo_proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryRequest;

    fn decode(request: &Bytes) -> DeltaDiscoveryRequest {
        let len = u32::from_be_bytes(request[1..GRPC_HEADER].try_into().unwrap());
        assert_eq!((request[0], len as usize), (0, request.len() - GRPC_HEADER));
        DeltaDiscoveryRequest::decode(&request[GRPC_HEADER..]).unwrap()
    }

    #[test]
    fn a_request_says_what_was_put_in() {
        let long = "x".repeat(300);
        let mut request = Request::new(ResourceType::Endpoints, Some(&node(70_000, "shop")));
        request.subscribe("a");
        request.subscribe(&long);
        request.unsubscribe("b");
        request.holds(&long, "v1");
        let request = decode(&request.finish());
        assert_eq!(request.type_url, ResourceType::Endpoints.url());
        assert_eq!(request.resource_names_subscribe, ["a", &long]);
        assert_eq!(request.resource_names_unsubscribe, ["b"]);
        assert_eq!(request.initial_resource_versions, [(long, "v1".to_owned())].into());
        let node = request.node.unwrap();
        assert_eq!(node.id, "sidecar~10.129.17.112~client-70000.shop~shop.svc.cluster.local");
        let namespace = node.metadata.unwrap().fields["NAMESPACE"].kind.clone();
        assert_eq!(namespace, Some(Kind::StringValue("shop".into())));
    }

    #[test]
    fn an_ack_has_the_nonce_and_nothing_else() {
        let ack = decode(&Request::ack(ResourceType::Cluster, "17"));
        let expected = DeltaDiscoveryRequest {
            type_url: ResourceType::Cluster.url().into(),
            response_nonce: "17".into(),
            ..Default::default()
        };
        assert_eq!(ack, expected);
    }
}
