//! The Deployment of a control plane.

use super::{metadata, selector, settings_name};
use crate::{
    apply::Wanted,
    kinds,
    names::{self, port},
    revision::{replicas::Replicas, validate::Revision},
    tag::SHOWN,
};
use serde_json::{Map, Value, json};
use tombolo_api::mesh::{PullPolicy, Resources};

const SETTINGS: &str = "/etc/tombolo/settings";
const WEBHOOK: &str = "/etc/tombolo/webhook";

pub(super) fn object(revision: &Revision, replicas: &Replicas) -> Wanted {
    let mut metadata = metadata(revision, kinds::DEPLOYMENT, &revision.objects());
    if let Some(note) = &replicas.note {
        metadata["annotations"] = json!({names::REPLICAS: note});
    }
    let mut spec = json!({
        "selector": {"matchLabels": selector(revision)},
        // New pods are ready before old ones go.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "progressDeadlineSeconds": 300,
        "revisionHistoryLimit": 3,
        "template": {"metadata": pod_metadata(revision), "spec": pod(revision)},
    });
    if let Some(count) = replicas.count {
        spec["replicas"] = count.into();
    }
    Wanted::new(kinds::DEPLOYMENT, json!({"metadata": metadata, "spec": spec}))
}

/// Ours go before the user's: pods without them would be nobody's.
fn pod_metadata(revision: &Revision) -> Value {
    let discovery = &revision.settings.discovery;
    let mut labels: Map<String, Value> =
        discovery.pod_labels.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
    labels.extend(super::labels(revision));
    labels.insert("sidecar.istio.io/inject".to_owned(), "false".into());
    let mut annotations: Map<String, Value> =
        discovery.pod_annotations.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
    let scraping = [("prometheus.io/scrape", "true".to_owned()), ("prometheus.io/port", port::MONITORING.to_string())];
    annotations.extend(scraping.map(|(key, value)| (key.to_owned(), value.into())));
    json!({"labels": labels, "annotations": annotations})
}

fn pod(revision: &Revision) -> Value {
    let discovery = &revision.settings.discovery;
    let mut spec = json!({
        "serviceAccountName": revision.objects(),
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container(revision)],
        "volumes": [{"name": "settings", "configMap": {"name": settings_name(revision)}}, webhook()],
        "terminationGracePeriodSeconds": 30,
        "topologySpreadConstraints": spread(revision),
    });
    let secrets = &revision.settings.images.pull_secrets;
    let optional = [
        ("imagePullSecrets", secrets.iter().map(|name| json!({"name": name})).collect::<Value>()),
        ("nodeSelector", json!(discovery.node_selector)),
        ("affinity", json!(discovery.affinity)),
        ("tolerations", json!(discovery.tolerations)),
        ("priorityClassName", json!(discovery.priority_class_name.as_deref().unwrap_or_default())),
    ];
    for (field, value) in optional.into_iter().filter(|(_, value)| !is_empty(value)) {
        spec[field] = value;
    }
    spec
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(Map::is_empty)
        || value.as_str().is_some_and(str::is_empty)
}

/// Where the settings say nothing: on different nodes if there are several.
fn spread(revision: &Revision) -> Value {
    let constraints = &revision.settings.discovery.topology_spread_constraints;
    if !constraints.is_empty() {
        return json!(constraints);
    }
    json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(revision)},
        "matchLabelKeys": ["pod-template-hash"],
    }])
}

/// No liveness probe: whoever is cut off from the API server still serves what he has, and is not to be restarted for it.
fn container(revision: &Revision) -> Value {
    let port = |name: &str, number: u16| json!({"name": name, "containerPort": number, "protocol": "TCP"});
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    json!({
        "name": "discovery",
        "image": image(revision),
        "imagePullPolicy": pull_policy(revision.settings.images.pull_policy),
        "command": ["/usr/bin/tombolo-discovery"],
        "args": arguments(revision),
        "env": [
            field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            {"name": "REVISION", "value": revision.name},
        ],
        "ports": [
            port("grpc-discovery", port::DISCOVERY),
            port("https-webhook", port::WEBHOOK),
            port("http-monitoring", port::MONITORING),
            port("http-health", port::HEALTH),
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": port::HEALTH}, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 3},
        // The last words of a pod that fails are in its status, and so in ours.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": resources(&revision.settings.discovery.resources),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "settings", "mountPath": SETTINGS, "readOnly": true},
            {"name": "webhook", "mountPath": WEBHOOK, "readOnly": true},
        ],
    })
}

/// The certificate of the webhook. A pod starts without it, and reads it when it is there.
fn webhook() -> Value {
    let items: Value = SHOWN.iter().map(|file| json!({"key": file, "path": file})).collect();
    json!({"name": "webhook", "secret": {"secretName": names::WEBHOOK_SECRET, "optional": true, "items": items}})
}

fn image(revision: &Revision) -> String {
    format!("{}/tombolo:{}", revision.registry, revision.release.version)
}

fn arguments(revision: &Revision) -> Vec<String> {
    let mut arguments =
        vec![format!("--settings={SETTINGS}/installation.yaml"), format!("--webhook-certificate={WEBHOOK}")];
    let cluster = &revision.settings.mesh.cluster;
    if !cluster.is_empty() {
        arguments.push(format!("--cluster={cluster}"));
    }
    arguments
}

fn pull_policy(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Always => "Always",
        PullPolicy::Never => "Never",
    }
}

/// A little is asked for where the settings say nothing: pods that ask for nothing are the first to be evicted.
fn resources(resources: &Resources) -> Value {
    let quantities =
        |all: &std::collections::BTreeMap<std::sync::Arc<str>, tombolo_api::mesh::Quantity>| -> Map<String, Value> {
            all.iter().map(|(name, quantity)| (name.to_string(), quantity.as_str().into())).collect()
        };
    let mut requests = quantities(&resources.requests);
    requests.entry("cpu").or_insert("50m".into());
    requests.entry("memory").or_insert("128Mi".into());
    let limits = quantities(&resources.limits);
    if limits.is_empty() { json!({"requests": requests}) } else { json!({"requests": requests, "limits": limits}) }
}
