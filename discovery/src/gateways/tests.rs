//! What is made for Gateways, as recorded in `snapshots/`: `INSTA_UPDATE=always cargo test` makes the records anew.

mod leads;
mod parameters;

use super::{build::Deployable, overlay, settings::Settings};
use serde_json::Value;
use std::collections::BTreeMap;
use tombolo_api::{
    AnyObject,
    gateway::Gateway,
    manifest,
    mesh::{Images, MeshInstallation},
};
use tombolo_translate::gateway_api::Deployed;

fn gateway(yaml: &str) -> std::sync::Arc<tombolo_api::Object<Gateway>> {
    let document = serde_saphyr::from_str::<Value>(yaml).unwrap();
    let decoded = manifest::decode(document, None);
    match decoded.object {
        Some(AnyObject::Gateway(gateway)) => gateway,
        other => panic!("{other:?} {:?}", decoded.problems),
    }
}

fn built(yaml: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
    let place = super::Place { namespace: "tombolo-system".into(), revision: "default".into() };
    built_with(yaml, parameters, Settings::of(None, &place))
}

fn built_with(yaml: &str, parameters: &[(&str, &str)], settings: Settings) -> Vec<Value> {
    let gateway = gateway(yaml);
    assert!(matches!(Deployed::of(&gateway), Deployed::ByUs(_)));
    let ports = gateway.listeners.iter().map(|l| (l.port, l.protocol.clone())).collect::<BTreeMap<_, _>>();
    let settings = Settings { image: "example.com/tombolo-proxy:1".into(), ..settings };
    let data: BTreeMap<String, String> = parameters.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let overlays = overlay::read(&data).unwrap();
    let made = Deployable { gateway, ports, settings }.build(&overlays);
    made.into_iter().map(|made| made.manifest).collect()
}

const PLAIN: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra, uid: 7c6f}
spec:
  gatewayClassName: tombolo
  listeners:
  - {name: one, port: 80, protocol: HTTP, hostname: a.example.com}
  - {name: other, port: 80, protocol: HTTP, hostname: b.example.com}
  - {name: secure, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: own}]}}
";

const CUSTOM: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra, uid: 7c6f, annotations: {networking.istio.io/service-type: ClusterIP}}
spec:
  gatewayClassName: istio
  addresses: [{value: 10.96.0.77}]
  infrastructure:
    labels: {team: web, app.kubernetes.io/managed-by: me}
    annotations: {note: ours}
    parametersRef: {group: '', kind: ConfigMap, name: edge}
  listeners: [{name: http, port: 8080, protocol: HTTP}]
";

const PARAMETERS: &[(&str, &str)] = &[
    (
        "deployment",
        "{metadata: {name: other}, spec: {replicas: 3, selector: {matchLabels: {a: b}}, template: {spec: {\
      containers: [{name: proxy, resources: {requests: {cpu: 500m}}}]}}}}",
    ),
    ("horizontalPodAutoscaler", "spec: {minReplicas: 2, maxReplicas: 5}"),
    ("podDisruptionBudget", "spec: {minAvailable: 1}"),
];

#[test]
fn a_plain_gateway_gets_an_account_a_service_and_a_deployment() {
    let made = built(PLAIN, &[]);
    let kinds: Vec<_> = made.iter().map(|made| made["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ServiceAccount", "Service", "Deployment"]);
    insta::assert_yaml_snapshot!("plain", made);
}

#[test]
fn infrastructure_and_parameters_are_on_everything_that_is_made() {
    let made = built(CUSTOM, PARAMETERS);
    assert_eq!(made.len(), 5);
    for object in &made {
        assert_eq!(object["metadata"]["name"], "edge-istio", "parameters rename nothing");
        assert_eq!(object["metadata"]["labels"]["team"], "web");
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "tombolo", "ours count more");
        assert_eq!(object["metadata"]["annotations"]["note"], "ours");
        assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "7c6f");
    }
    let template = &made[2]["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["team"], "web");
    assert_eq!(template["metadata"]["annotations"]["note"], "ours");
    assert_eq!(made[2]["spec"]["selector"]["matchLabels"], template_selector(), "it cannot be changed later");
    assert_eq!(made[1]["spec"]["clusterIP"], "10.96.0.77");
    insta::assert_yaml_snapshot!("custom", made);
}

fn template_selector() -> Value {
    serde_json::json!({tombolo_translate::gateway_api::GATEWAY_LABEL: "edge"})
}

#[test]
fn secrets_of_the_registry_are_named_in_pods() {
    let place = super::Place { namespace: "tombolo-system".into(), revision: "default".into() };
    let images = Images { pull_secrets: vec!["registry".into(), "mirror".into()], ..Images::default() };
    let installation = MeshInstallation { images, ..MeshInstallation::default() };
    let spec = |made: &[Value]| made[2]["spec"]["template"]["spec"].clone();
    let made = built_with(PLAIN, &[], Settings::of(Some(&installation), &place));
    assert_eq!(spec(&made)["imagePullSecrets"], serde_json::json!([{"name": "registry"}, {"name": "mirror"}]));
    assert_eq!(spec(&built(PLAIN, &[])).get("imagePullSecrets"), None, "an API server stores no empty list");
}

#[test]
fn equal_input_has_equal_hashes_and_another_has_others() {
    let hash = |made: &[Value]| made[2]["metadata"]["annotations"][super::build::HASH].clone();
    assert_eq!(hash(&built(PLAIN, &[])), hash(&built(PLAIN, &[])));
    assert_ne!(hash(&built(PLAIN, &[])), hash(&built(PLAIN, &[("deployment", "spec: {replicas: 2}")])));
}

#[test]
fn an_address_of_a_load_balancer_is_asked_for() {
    let asked = PLAIN.replace("gatewayClassName", "addresses: [{value: 10.99.0.7}]\n  gatewayClassName");
    let service = &built(&asked, &[])[1]["spec"];
    assert_eq!((&service["type"], &service["loadBalancerIP"]), (&"LoadBalancer".into(), &"10.99.0.7".into()));
    let any = PLAIN.replace("gatewayClassName", "addresses: [{type: IPAddress}]\n  gatewayClassName");
    assert!(built(&any, &[])[1]["spec"].get("loadBalancerIP").is_none());
}
