//! The objects of a Gateway, from nothing but values.

use super::{
    made::{Made, MadeKind},
    overlay::{self, Overlays},
    pod,
    settings::Settings,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};
use tombolo_api::{
    Object,
    gateway::{Gateway, Infrastructure, Protocol},
};
use tombolo_core::{NamespacedName, Port};
use tombolo_translate::gateway_api::{AGENT_PORT, GATEWAY_LABEL, MANAGED_BY, MANAGED_LABEL, infrastructure_name};
use xxhash_rust::xxh3::xxh3_128;

/// The class of a Gateway, on what is made for it (GEP-1762).
const CLASS_LABEL: &str = "gateway.networking.k8s.io/gateway-class-name";
/// How a Gateway's Service is published, by Istio's name.
const SERVICE_TYPE: &str = "networking.istio.io/service-type";
/// Tells what was applied last.
pub(super) const HASH: &str = "mesh.tombolo.dev/applied-hash";

/// A Gateway that is to be deployed.
#[derive(Clone, Debug)]
pub(crate) struct Deployable {
    /// The Gateway.
    pub(crate) gateway: Arc<Object<Gateway>>,
    /// The ports that its accepted listeners have; at least one.
    pub(crate) ports: BTreeMap<Port, Protocol>,
    /// What holds for all gateways.
    pub(crate) settings: Settings,
}

impl Deployable {
    /// The name of all that is made for it.
    pub(crate) fn name(&self) -> String {
        infrastructure_name(&self.gateway.metadata.name, &self.gateway.gateway_class_name)
    }

    /// The objects that it needs, in the order in which they are best made.
    pub(crate) fn build(&self, overlays: &Overlays) -> Vec<Made> {
        let made = MadeKind::ALL.into_iter().filter_map(|kind| {
            let mut manifest = self.manifest(kind, overlays.contains_key(&kind))?;
            if let Some(overlay) = overlays.get(&kind) {
                overlay::merge(&mut manifest, overlay);
                self.insist(kind, &mut manifest);
            }
            Some(self.sealed(kind, manifest))
        });
        made.collect()
    }

    fn manifest(&self, kind: MadeKind, asked_for: bool) -> Option<Value> {
        let mut manifest = match kind {
            MadeKind::ServiceAccount => json!({"automountServiceAccountToken": false}),
            MadeKind::Service => json!({"spec": self.service()}),
            MadeKind::Deployment => json!({"spec": {
                "selector": {"matchLabels": self.selector()},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "template": {
                    "metadata": {"labels": self.labels(), "annotations": self.pod_annotations()},
                    "spec": pod::spec(self),
                },
            }}),
            MadeKind::HorizontalPodAutoscaler if asked_for => json!({"spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name()},
            }}),
            MadeKind::PodDisruptionBudget if asked_for => {
                json!({"spec": {"selector": {"matchLabels": self.selector()}}})
            }
            MadeKind::HorizontalPodAutoscaler | MadeKind::PodDisruptionBudget => return None,
        };
        overlay::merge(&mut manifest, &json!({"metadata": {"annotations": self.annotations()}}));
        self.insist(kind, &mut manifest);
        Some(manifest)
    }

    /// What makes an object ours, and no parameters may change.
    fn insist(&self, kind: MadeKind, manifest: &mut Value) {
        let metadata = &self.gateway.metadata;
        let own = json!({
            "apiVersion": kind.resource().api_version,
            "kind": kind.name(),
            "metadata": {
                "name": self.name(),
                "namespace": &*metadata.namespace,
                "labels": self.labels(),
                "ownerReferences": [{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
                    "name": &*metadata.name, "uid": &*metadata.uid, "controller": true, "blockOwnerDeletion": false}],
            },
        });
        overlay::merge(manifest, &own);
        if kind == MadeKind::Deployment {
            let labels = json!({"spec": {"selector": {"$patch": "replace", "matchLabels": self.selector()},
                "template": {"metadata": {"labels": self.labels()}}}});
            overlay::merge(manifest, &labels);
        }
    }

    fn sealed(&self, kind: MadeKind, mut manifest: Value) -> Made {
        let hash = format!("{:032x}", xxh3_128(manifest.to_string().as_bytes()));
        overlay::merge(&mut manifest, &json!({"metadata": {"annotations": {HASH: hash}}}));
        let name = NamespacedName::new(self.gateway.metadata.namespace.clone(), self.name());
        Made { kind, name, manifest, hash }
    }

    fn infrastructure(&self) -> &Infrastructure {
        static NONE: Infrastructure =
            Infrastructure { labels: BTreeMap::new(), annotations: BTreeMap::new(), parameters_ref: None };
        self.gateway.infrastructure.as_ref().unwrap_or(&NONE)
    }

    /// What pods are found by. It cannot be changed later.
    fn selector(&self) -> Value {
        json!({GATEWAY_LABEL: label_value(&self.gateway.metadata.name)})
    }

    /// The user's labels (GEP-1867), and ours, which count more.
    pub(super) fn labels(&self) -> Value {
        let mut labels = texts(&self.infrastructure().labels);
        let ours = [
            (GATEWAY_LABEL, label_value(&self.gateway.metadata.name)),
            (CLASS_LABEL, label_value(&self.gateway.gateway_class_name)),
            (MANAGED_LABEL, MANAGED_BY.to_owned()),
            ("app.kubernetes.io/managed-by", "tombolo".to_owned()),
            ("istio.io/rev", self.settings.revision.clone()),
        ];
        labels.extend(ours.into_iter().map(|(key, value)| (key.to_owned(), value.into())));
        Value::Object(labels)
    }

    fn annotations(&self) -> Value {
        Value::Object(texts(&self.infrastructure().annotations))
    }

    fn pod_annotations(&self) -> Value {
        let scraped = json!({"prometheus.io/scrape": "true", "prometheus.io/port": AGENT_PORT.to_string(),
            "prometheus.io/path": "/metrics"});
        let mut annotations = scraped;
        overlay::merge(&mut annotations, &self.annotations());
        annotations
    }

    fn service(&self) -> Value {
        let asked = self.gateway.metadata.annotation(SERVICE_TYPE);
        let kind = asked.filter(|kind| matches!(*kind, "ClusterIP" | "NodePort")).unwrap_or("LoadBalancer");
        let ports = self.ports.iter().map(|(port, protocol)| {
            let spoken = protocol.as_str().to_ascii_lowercase();
            json!({"name": format!("{spoken}-{port}"), "port": port.get(), "targetPort": port.get(), "protocol": "TCP",
                "appProtocol": spoken})
        });
        let ports: Vec<Value> = ports.collect();
        let mut spec = json!({"type": kind, "selector": self.selector(), "ports": ports});
        let wanted = self.gateway.addresses.iter().find(|a| &*a.kind == "IPAddress" && !a.value.is_empty());
        // One Service has one such address: what it is not given is said in the Gateway's status. A node's is nobody's to give.
        let field = match kind {
            "LoadBalancer" => Some("loadBalancerIP"),
            "ClusterIP" => Some("clusterIP"),
            _ => None,
        };
        if let (Some(address), Some(field)) = (wanted, field) {
            spec[field] = (&*address.value).into();
        }
        spec
    }
}

fn texts(map: &BTreeMap<Arc<str>, Arc<str>>) -> Map<String, Value> {
    map.iter().map(|(key, value)| (key.to_string(), (&**value).into())).collect()
}

/// Names of objects may be longer than labels' values: a long one ends with a hash instead.
fn label_value(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    format!("{}-{:08x}", name[..54].trim_end_matches(['-', '.']), xxh3_128(name.as_bytes()) >> 96)
}
