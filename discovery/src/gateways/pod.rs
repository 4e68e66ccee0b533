//! The pod of a Gateway: one container, the agent, which runs Envoy.

use super::build::Deployable;
use serde_json::{Value, json};
use tombolo_translate::gateway_api::{AGENT_PORT, GATEWAY_LABEL};

/// The user that the image is made for. Not 0: the root file system is read-only, and nothing is owned by it.
const USER: u32 = 1337;
/// How long Envoy goes on taking connections once its pod is told to go: until every node has heard of that.
const DRAIN_MINIMUM: &str = "5s";
/// How long requests have to end.
const DRAIN: &str = "30s";
/// A little longer, so that Envoy ends by itself.
const GRACE_SECONDS: u32 = 45;
/// The agent keeps its state in a directory that is its own: a volume belongs to root.
const STATE: &str = "/var/lib/tombolo/agent";
/// How long the first config may take: a control plane that is down is no reason to start the proxy again.
const STARTUP_SECONDS: u32 = 600;

/// The `PodSpec`.
pub(super) fn spec(of: &Deployable) -> Value {
    let mut spec = json!({
        "serviceAccountName": of.name(),
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
            // Listeners have the ports that Gateways say, 80 and 443 mostly, and nobody has a capability.
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
        },
        "containers": [container(of)],
        "volumes": [
            {"name": "root-certificate", "configMap": {"name": "tombolo-ca-root-cert"}},
            {"name": "token", "projected": {"sources": [
                {"serviceAccountToken": {"audience": "istio-ca", "expirationSeconds": 43_200, "path": "istio-token"}}]}},
            {"name": "state", "emptyDir": {"medium": "Memory"}},
            {"name": "temporary", "emptyDir": {"medium": "Memory"}},
        ],
    });
    let secrets: Vec<_> = of.settings.pull_secrets.iter().map(|name| json!({"name": &**name})).collect();
    if !secrets.is_empty() {
        spec["imagePullSecrets"] = secrets.into();
    }
    spec
}

fn container(of: &Deployable) -> Value {
    let probe = json!({"path": "/healthz/ready", "port": AGENT_PORT, "scheme": "HTTP"});
    json!({
        "name": "proxy",
        "image": of.settings.image,
        "imagePullPolicy": of.settings.pull_policy,
        "command": ["/usr/bin/tombolo-agent"],
        "args": ["run", "--kind", "router", "--discovery", of.settings.discovery, "--admin", format!("[::]:{AGENT_PORT}"),
            "--concurrency", of.settings.concurrency.to_string(), "--envoy", "/usr/bin/envoy",
            "--state-dir", STATE, "--drain-minimum", DRAIN_MINIMUM, "--drain", DRAIN],
        "env": environment(of),
        "ports": [{"name": "metrics", "containerPort": AGENT_PORT, "protocol": "TCP"}],
        "startupProbe": {"httpGet": probe, "periodSeconds": 1, "failureThreshold": STARTUP_SECONDS},
        "readinessProbe": {"httpGet": probe, "periodSeconds": 5, "failureThreshold": 2},
        "lifecycle": {"preStop": {"exec": {"command": ["/usr/bin/tombolo-agent", "drain"]}}},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "root-certificate", "mountPath": "/var/run/secrets/istio", "readOnly": true},
            {"name": "token", "mountPath": "/var/run/secrets/tokens", "readOnly": true},
            {"name": "state", "mountPath": "/var/lib/tombolo"},
            {"name": "temporary", "mountPath": "/tmp"},
        ],
    })
}

fn environment(of: &Deployable) -> Value {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}});
    let text = |name: &str, value: &str| json!({"name": name, "value": value});
    // In full, other than on the pod: a label's value has at most 63 characters.
    let mut labels = of.labels();
    labels[GATEWAY_LABEL] = (&*of.gateway.metadata.name).into();
    let mut variables = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("INSTANCE_ID", "metadata.uid"),
        field("INSTANCE_IP", "status.podIPs"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        text("ISTIO_METAJSON_LABELS", &labels.to_string()),
        text("TRUST_DOMAIN", &of.settings.trust_domain),
    ];
    if !of.settings.cluster.is_empty() {
        variables.push(text("ISTIO_META_CLUSTER_ID", &of.settings.cluster));
    }
    Value::Array(variables)
}
