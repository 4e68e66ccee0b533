//! A proxy's introduction on the wire: `envoy.config.core.v3.Node`, which the agent's own stream to the control plane begins with.

use super::node::Node;
use serde_json::Value;
use tombolo_proto::envoy::{
    envoy::config::core::v3::{self as core, Locality},
    google::protobuf::{ListValue, NullValue, Struct, Value as Wire, value::Kind as WireKind},
};

/// The label that says where a workload is: `REGION/ZONE/SUBZONE`, or with dots, as a label takes no slashes.
const LOCALITY: &str = "istio-locality";

impl Node {
    /// The introduction on the wire.
    pub fn introduction(&self) -> core::Node {
        core::Node {
            id: self.id(),
            cluster: self.cluster(),
            metadata: Some(fields(self.metadata())),
            locality: self.locality(),
            user_agent_name: "tombolo-agent".into(),
            user_agent_version_type: Some(core::node::UserAgentVersionType::UserAgentVersion(
                env!("CARGO_PKG_VERSION").into(),
            )),
            ..core::Node::default()
        }
    }

    fn locality(&self) -> Option<Locality> {
        let label = self.labels.get(LOCALITY).filter(|label| !label.is_empty())?;
        let divider = if label.contains('/') { '/' } else { '.' };
        let mut parts = label.splitn(3, divider).map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Some(Locality { region: part(), zone: part(), sub_zone: part() })
    }
}

fn fields(members: serde_json::Map<String, Value>) -> Struct {
    Struct { fields: members.into_iter().map(|(key, value)| (key, wire(value))).collect() }
}

fn wire(value: Value) -> Wire {
    let kind = match value {
        Value::Null => WireKind::NullValue(NullValue::NullValue.into()),
        Value::Bool(value) => WireKind::BoolValue(value),
        Value::Number(value) => WireKind::NumberValue(value.as_f64().unwrap_or_default()),
        Value::String(value) => WireKind::StringValue(value),
        Value::Array(values) => WireKind::ListValue(ListValue { values: values.into_iter().map(wire).collect() }),
        Value::Object(members) => WireKind::StructValue(fields(members)),
    };
    Wire { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envoy::node::tests::node;
    use serde_json::json;

    #[test]
    fn the_introduction_says_what_the_bootstrap_says_and_where_the_workload_is() {
        let mut node = node();
        node.metadata.insert("X".into(), json!([1, true, null, {"a": "b"}]));
        let introduction = node.introduction();
        assert_eq!((introduction.id, introduction.cluster), (node.id(), node.cluster()));
        let fields = introduction.metadata.unwrap().fields;
        assert_eq!(fields["NAMESPACE"].kind, Some(WireKind::StringValue("shop".into())));
        let Some(WireKind::StructValue(labels)) = &fields["LABELS"].kind else { panic!() };
        assert_eq!(labels.fields["app"].kind, Some(WireKind::StringValue("web".into())));
        let Some(WireKind::ListValue(list)) = &fields["X"].kind else { panic!() };
        assert_eq!(list.values.len(), 4);
        assert_eq!(introduction.locality, None);
    }

    #[test]
    fn localities_are_divided_by_slashes_or_else_by_dots() {
        let cases = [
            ("r", ["r", "", ""]),
            ("r.z.s", ["r", "z", "s"]),
            ("r/z.1", ["r", "z.1", ""]),
            ("r/z/s/t", ["r", "z", "s/t"]),
        ];
        for (label, [region, zone, sub_zone]) in cases {
            let mut node = node();
            node.labels.insert(LOCALITY.into(), label.into());
            let locality = node.locality().unwrap();
            assert_eq!((&*locality.region, &*locality.zone, &*locality.sub_zone), (region, zone, sub_zone), "{label}");
        }
    }
}
