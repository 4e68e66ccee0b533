use super::{
    super::validate::{Revision, tests::revision},
    *,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

fn of(spec: &Value) -> (Revision, BTreeMap<&'static str, Value>) {
    let revision = revision(spec).unwrap();
    let objects = objects(&revision, &Seen::default());
    (revision, objects.into_iter().map(|object| (object.kind.name, object.body)).collect())
}

fn everything() -> Value {
    json!({
        "namespace": "mesh",
        "images": {"registry": "example.com/m", "pullPolicy": "Always", "pullSecrets": ["pull"]},
        "mesh": {"cluster": "east", "network": "net-1"},
        "discovery": {
            "autoscaling": {"maxReplicas": 5},
            "networkPolicy": true,
            "resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}},
            "nodeSelector": {"a": "b"},
            "affinity": {"nodeAffinity": {}},
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            "priorityClassName": "system-cluster-critical",
            "podLabels": {"team": "mesh", "istio.io/rev": "stolen"},
            "podAnnotations": {"note": "x"},
        },
    })
}

/// Fails where a field is none of the kind's: the API server would drop it.
fn read<T: Serialize + DeserializeOwned>(body: &Value) {
    let typed: T = serde_json::from_value(body.clone()).unwrap_or_else(|error| panic!("{error}: {body:#}"));
    let read = serde_json::to_value(&typed).unwrap();
    assert_eq!(prune_empty(&read), prune_empty(body));
}

fn prune_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().map(|(key, value)| (key.clone(), prune_empty(value)));
            Value::Object(
                kept.filter(|(_, value)| !value.is_null() && *value != json!({}) && *value != json!([])).collect(),
            )
        }
        Value::Array(items) => items.iter().map(prune_empty).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_field_is_one_of_its_kind() {
    for spec in [json!({}), everything()] {
        for (kind, body) in of(&spec).1 {
            match kind {
                "Deployment" => read::<Deployment>(&body),
                "Service" => read::<Service>(&body),
                "ServiceAccount" => read::<ServiceAccount>(&body),
                "ConfigMap" => read::<ConfigMap>(&body),
                "ClusterRole" => read::<ClusterRole>(&body),
                "ClusterRoleBinding" => read::<ClusterRoleBinding>(&body),
                "Role" => read::<Role>(&body),
                "RoleBinding" => read::<RoleBinding>(&body),
                "PodDisruptionBudget" => read::<PodDisruptionBudget>(&body),
                "HorizontalPodAutoscaler" => read::<HorizontalPodAutoscaler>(&body),
                "NetworkPolicy" => read::<NetworkPolicy>(&body),
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn what_is_optional_is_made_where_it_is_asked_for() {
    let kinds = |spec: &Value| {
        of(spec).1.into_keys().filter(|kind| kind.contains("Auto") || kind.contains("Policy")).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&json!({})), Vec::<&str>::new());
    assert_eq!(kinds(&everything()), ["HorizontalPodAutoscaler", "NetworkPolicy"]);
}

#[test]
fn replicas_may_ask_one_another_and_the_operator_may_from_its_own_namespace() {
    let (_, objects) = of(&everything());
    let policy: NetworkPolicy = serde_json::from_value(objects["NetworkPolicy"].clone()).unwrap();
    let rules = policy.spec.unwrap().ingress.unwrap();
    let monitoring = json!(rules[1]);
    assert_eq!(monitoring["ports"], json!([{"port": 15014, "protocol": "TCP"}]));
    // Labels of the chart's pods.
    let operator = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "operators"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "tombolo-operator"}},
    });
    let from = monitoring["from"].as_array().unwrap();
    assert!(from.contains(&operator) && from.contains(&json!({"podSelector": {}})), "{monitoring:#}");
}

#[test]
fn everything_is_owned_and_labelled() {
    for (kind, body) in of(&everything()).1 {
        let metadata = &body["metadata"];
        assert_eq!(metadata["ownerReferences"][0]["uid"], "uid-1", "{kind}");
        assert_eq!(metadata["labels"]["istio.io/rev"], "default", "{kind}");
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "tombolo-operator", "{kind}");
        assert_eq!(metadata["namespace"].is_string(), !kind.starts_with("Cluster"), "{kind}");
    }
}

#[test]
fn the_settings_reach_the_pod() {
    let (_, objects) = of(&everything());
    let pod = &objects["Deployment"]["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["image"], "example.com/m/tombolo:0.1.0");
    assert_eq!(
        container["args"],
        json!([
            "--settings=/etc/tombolo/settings/installation.yaml",
            "--webhook-certificate=/etc/tombolo/webhook",
            "--cluster=east",
        ])
    );
    assert_eq!(container["resources"]["requests"], json!({"cpu": "1", "memory": "128Mi"}));
    assert_eq!(pod["metadata"]["labels"]["istio.io/rev"], "default", "a label that the selector needs is ours");
    assert_eq!(pod["metadata"]["labels"]["team"], "mesh");
    assert_eq!(pod["spec"]["volumes"][0]["configMap"]["name"], objects["ConfigMap"]["metadata"]["name"]);
    let settings = objects["ConfigMap"]["data"]["installation.yaml"].as_str().unwrap();
    let content = tombolo_api::manifest::read(settings.as_bytes(), "installation.yaml");
    assert!(content.problems.is_empty() && content.decoded[0].problems.is_empty(), "{settings}");
}

#[test]
fn other_settings_are_other_pods() {
    let template = |spec: &Value| of(spec).1["Deployment"]["spec"]["template"].clone();
    assert_eq!(template(&json!({})), template(&json!({})));
    assert_ne!(template(&json!({})), template(&json!({"mesh": {"network": "other"}})));
}

#[test]
fn a_control_plane_may_speak_of_its_own_revision_alone() {
    let (_, objects) = of(&json!({}));
    let rules = objects["ClusterRole"]["rules"].as_array().unwrap();
    let ours: Vec<_> = rules.iter().filter(|rule| rule["apiGroups"] == json!(["mesh.tombolo.dev"])).collect();
    assert_eq!(ours.len(), 2);
    assert!(ours.iter().all(|rule| rule["resourceNames"] == json!(["default"])), "{ours:#?}");
}

#[test]
fn pods_may_do_nothing_that_they_need_not() {
    let (_, objects) = of(&json!({}));
    let pod = &objects["Deployment"]["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
}
