//! Whose an object of the Gateway API is: what another implementation serves is not ours to warn of.

use kube::api::DynamicObject;
use serde_json::Value;
use tombolo_api::{
    Kind, ObjectKey,
    gateway::{CONTROLLER, GROUP, Gateway, GatewayClass},
};
use tombolo_core::{NamespacedName, SourceId};
use tombolo_registry::Snapshot;

/// What an object says of who is to serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nothing: it is everybody's.
    Everybody,
    /// A controller, as classes do.
    Controller(String),
    /// A class, as Gateways do.
    Class(String),
    /// Gateways, as routes do.
    Gateways(Vec<NamespacedName>),
}

impl Claim {
    pub(super) fn of(object: &DynamicObject) -> Self {
        let types = object.types.as_ref();
        let Some(types) = types.filter(|types| types.api_version.split('/').next() == Some(GROUP)) else {
            return Self::Everybody;
        };
        let text = |path| object.data.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        match &*types.kind {
            "GatewayClass" => Self::Controller(text("/spec/controllerName")),
            "Gateway" => Self::Class(text("/spec/gatewayClassName")),
            _ => Self::of_parents(object),
        }
    }

    /// A parent that is no Gateway makes it everybody's.
    fn of_parents(object: &DynamicObject) -> Self {
        let parents = object.data.pointer("/spec/parentRefs").and_then(Value::as_array);
        let gateway = |parent: &Value| {
            let text =
                |field: &str, default: &str| parent.get(field).and_then(Value::as_str).unwrap_or(default).to_owned();
            let own = object.metadata.namespace.as_deref().unwrap_or_default();
            let is_gateway = text("kind", "Gateway") == "Gateway" && text("group", GROUP) == GROUP;
            is_gateway.then(|| NamespacedName::new(text("namespace", own), text("name", "")))
        };
        let gateways = parents.and_then(|parents| parents.iter().map(gateway).collect::<Option<Vec<_>>>());
        gateways.filter(|gateways| !gateways.is_empty()).map_or(Self::Everybody, Self::Gateways)
    }

    /// True only where it is known that another serves it: what is not there yet may be ours.
    pub(super) fn is_anothers(&self, snapshot: &Snapshot, source: SourceId) -> bool {
        let key = |kind, name| ObjectKey { source, kind, name };
        match self {
            Self::Everybody => false,
            Self::Controller(controller) => controller != CONTROLLER,
            Self::Class(class) => {
                let class = key(Kind::GatewayClass, NamespacedName::new("", class.as_str()));
                snapshot.get::<GatewayClass>(&class).is_some_and(|class| &*class.controller_name != CONTROLLER)
            }
            Self::Gateways(gateways) => gateways.iter().all(|name| {
                let gateway = snapshot.get::<Gateway>(&key(Kind::Gateway, name.clone()));
                let class = gateway.map(|gateway| Self::Class(gateway.gateway_class_name.to_string()));
                class.is_some_and(|class| class.is_anothers(snapshot, source))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tombolo_api::manifest;
    use tombolo_registry::Index;

    fn object(kind: &str, name: &str, spec: &Value) -> Value {
        let api_version = format!("{GROUP}/v1");
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
    }

    fn gateway(name: &str, class: &str) -> Value {
        let listener = json!({"name": "http", "port": 80, "protocol": "HTTP"});
        object("Gateway", name, &json!({"gatewayClassName": class, "listeners": [listener]}))
    }

    fn class(name: &str, controller: &str) -> Value {
        object("GatewayClass", name, &json!({"controllerName": controller}))
    }

    fn route(parents: &Value) -> Value {
        object("HTTPRoute", "web", &json!({"parentRefs": parents}))
    }

    /// Whether it is another's, where there are a class and a Gateway of ours, and the same of another.
    fn is_anothers(document: &Value) -> bool {
        let (source, mut index) = (SourceId::new("here"), Index::default());
        for known in [
            class("tombolo", CONTROLLER),
            class("other", "example.com/controller"),
            gateway("ours", "tombolo"),
            gateway("theirs", "other"),
        ] {
            index.apply(source, manifest::decode(known, None).object.unwrap());
        }
        Claim::of(&serde_json::from_value(document.clone()).unwrap()).is_anothers(&index.snapshot(), source)
    }

    #[test]
    fn what_another_serves_is_anothers() {
        assert!(is_anothers(&class("new", "example.com/controller")));
        assert!(is_anothers(&gateway("new", "other")));
        assert!(is_anothers(&route(&json!([{"name": "theirs"}, {"name": "theirs", "namespace": "shop"}]))));
    }

    #[test]
    fn what_may_be_ours_is_not() {
        assert!(!is_anothers(&class("new", CONTROLLER)));
        for class in ["tombolo", "absent"] {
            assert!(!is_anothers(&gateway("new", class)), "{class}");
        }
        for parents in [
            json!([{"name": "ours"}, {"name": "theirs"}]),
            json!([{"name": "absent"}]),
            json!([{"name": "theirs", "namespace": "absent"}]),
            json!([{"name": "theirs", "kind": "Service", "group": ""}]),
            json!([]),
            json!("garbage"),
        ] {
            assert!(!is_anothers(&route(&parents)), "{parents}");
        }
        let entry = json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "a"}});
        assert!(!is_anothers(&entry));
    }
}
