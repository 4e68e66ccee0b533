//! What is accepted of a MeshInstallation, what is refused, and where.

#![allow(clippy::panic)] // it is how a test fails

mod support;

use std::{sync::Arc, time::Duration};
use support::{accepted, accepts, patched, refuses, warns, yaml};
use tombolo_api::{
    AnyObject, Object,
    mesh::{Amount, MeshInstallation, OutboundTraffic, Signer, Strategy},
};

const INSTALLATION: &str = "
apiVersion: mesh.tombolo.dev/v1alpha1
kind: MeshInstallation
metadata: {name: default}
spec:
  namespace: tombolo-system
  version: 0.1.0
  images: {registry: registry.example.com/tombolo, pullPolicy: Always, pullSecrets: [pull], proxy: 'registry.example.com/envoy:v1'}
  mesh:
    trustDomain: example.com
    trustDomainAliases: [cluster.local]
    network: net-1
    cluster: Kubernetes
    mtls: {mode: STRICT}
    outboundTraffic: RegistryOnly
    accessLog: {path: /dev/stdout, format: {text: '%PROTOCOL%'}}
    dns: {autoAllocate: true}
    gateways: {numTrustedProxies: 1}
  discovery:
    replicas: 3
    resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 500m}}
    nodeSelector: {a: b}
    affinity: {nodeAffinity: {}}
    tolerations: [{key: a, operator: Exists}]
    topologySpreadConstraints: [{maxSkew: 1}]
    priorityClassName: system-cluster-critical
    podLabels: {a: b}
    podAnnotations: {a: b}
    networkPolicy: true
  ca: {secretRef: {name: root}, rootRotation: {overlap: 30d}, workloadCertTTL: 12h}
  virtualMachines: {rejoinWindow: 14d}
  update:
    strategy: Canary
    canary:
      gate: {mode: Report, maxChangedProxies: 10%}
      steps: [{weight: 5, pause: 2m}, {weight: 25, pause: 5m}, {weight: 100}]
      analysis: {maxRejectedConfigs: 1, maxUnready: 2, maxErrorRateIncrease: 0.5%}
      rollback: Manual
      retireAfter: 1h
  deletionPolicy: RefuseWhileConnected
status: {activeRevision: default-0-1-0}
";

fn installation(document: &serde_json::Value) -> Arc<Object<MeshInstallation>> {
    let AnyObject::MeshInstallation(installation) = accepted(document) else { panic!("a MeshInstallation") };
    installation
}

#[test]
fn every_field_is_read() {
    let read = installation(&yaml(INSTALLATION));
    assert_eq!(&*read.mesh.trust_domain, "example.com");
    assert_eq!(read.mesh.outbound_traffic, OutboundTraffic::RegistryOnly);
    assert_eq!(read.mesh.gateways.num_trusted_proxies, 1);
    assert!(matches!(read.ca.signer(), Signer::Secret(secret) if &*secret.name == "root"));
    assert_eq!(read.virtual_machines.rejoin_window.get(), Duration::from_secs(14 * 86_400));
    assert_eq!(read.discovery.resources.requests["cpu"].as_str(), "1");
    let canary = read.update.canary.as_ref().expect("a canary");
    assert_eq!(canary.gate.max_changed_proxies.map(|most| most.of(50)), Some(5));
    assert_eq!(canary.analysis.max_unready, Amount::Count(2));
}

#[test]
fn what_is_absent_has_its_default() {
    let read = installation(&patched(INSTALLATION, "spec: null"));
    assert_eq!((&*read.namespace, &read.version), ("tombolo-system", &None));
    assert_eq!(&*read.mesh.trust_domain, "cluster.local");
    assert_eq!(read.mesh.gateways.num_trusted_proxies, 0);
    assert_eq!(read.ca.signer(), Signer::SelfSigned);
    assert_eq!(read.ca.workload_cert_ttl.get(), Duration::from_secs(86_400));
    assert_eq!(read.ca.root_rotation.overlap.to_string(), "90d");
    assert_eq!(read.virtual_machines.rejoin_window.to_string(), "7d");
    assert_eq!(read.update.strategy, Strategy::InPlace);
    let read = installation(&patched(INSTALLATION, "spec: {update: {canary: {steps: null}}}"));
    let steps = &read.update.canary.as_ref().expect("a canary").steps;
    assert_eq!(steps.iter().map(|step| step.weight).collect::<Vec<_>>(), [5, 25, 100]);
}

#[test]
fn what_can_be_installed_is_accepted() {
    accepts(
        INSTALLATION,
        &[
            "spec: {version: 1.2.3-rc.1}",
            "spec: {discovery: {resources: {limits: {cpu: 1e-3, memory: .5Gi}}}}",
            "spec: {mesh: {accessLog: {format: {text: null, json: {a: '%PROTOCOL%'}}}}}",
            "spec: {mesh: {accessLog: {}}}",
            "spec: {ca: {secretRef: null, selfSigned: {}}}",
            "spec: {discovery: {replicas: null, autoscaling: {maxReplicas: 5}}}",
        ],
    );
    warns(
        INSTALLATION,
        &[
            ("spec: {mesh: {meshId: shops}}", "spec.mesh.meshId", "Unsupported"),
            ("spec: {virtualMachines: {expose: true}}", "spec.virtualMachines.expose", "Unsupported"),
            ("spec: {virtualMachines: {tokenTTL: 2h}}", "spec.virtualMachines.tokenTTL", "Unsupported"),
            ("spec: {virtualMachines: {disconnectGrace: 30s}}", "spec.virtualMachines.disconnectGrace", "Unsupported"),
            ("spec: {mesh: {tracing: {anything: at all}}}", "spec.mesh.tracing", "Unsupported"),
            ("spec: {mesh: {gateways: {proxyProtocol: {}}}}", "spec.mesh.gateways.proxyProtocol", "Unsupported"),
            ("spec: {mesh: {gateways: {http3: {}}}}", "spec.mesh.gateways.http3", "Unsupported"),
            ("spec: {update: {strategy: InPlace}}", "spec.update.canary", "Ineffective"),
        ],
    );
}

const REFUSED: &[support::Case] = &[
    ("metadata: {name: a.b}", "metadata.name", "InvalidValue"),
    ("metadata: {name: a23456789-123456789-123456789-123}", "metadata.name", "InvalidValue"),
    ("spec: {deletionPolicy: Never}", "spec.deletionPolicy", "InvalidValue"),
    ("spec: {namespace: A}", "spec.namespace", "InvalidValue"),
    ("spec: {version: latest}", "spec.version", "InvalidValue"),
    ("spec: {version: 1.2}", "spec.version", "InvalidValue"),
    ("spec: {images: {registry: 'https://example.com'}}", "spec.images.registry", "InvalidValue"),
    ("spec: {images: {proxy: 'a b'}}", "spec.images.proxy", "InvalidValue"),
    ("spec: {images: {proxy: ''}}", "spec.images.proxy", "InvalidValue"),
    ("spec: {images: {pullPolicy: Sometimes}}", "spec.images.pullPolicy", "InvalidValue"),
    ("spec: {images: {pullSecrets: [A]}}", "spec.images.pullSecrets[0]", "InvalidValue"),
    ("spec: {mesh: {trustDomain: Example.com}}", "spec.mesh.trustDomain", "InvalidValue"),
    ("spec: {mesh: {trustDomain: ''}}", "spec.mesh.trustDomain", "InvalidValue"),
    ("spec: {mesh: {trustDomainAliases: [example.com]}}", "spec.mesh.trustDomainAliases[0]", "Duplicate"),
    ("spec: {mesh: {trustDomainAliases: [a/b]}}", "spec.mesh.trustDomainAliases[0]", "InvalidValue"),
    ("spec: {mesh: {tracing: often}}", "spec.mesh.tracing", "InvalidValue"),
    ("spec: {mesh: {network: a b}}", "spec.mesh.network", "InvalidValue"),
    ("spec: {mesh: {mtls: {mode: DISABLE}}}", "spec.mesh.mtls.mode", "InvalidValue"),
    ("spec: {mesh: {outboundTraffic: Deny}}", "spec.mesh.outboundTraffic", "InvalidValue"),
    ("spec: {mesh: {accessLog: {path: log.txt}}}", "spec.mesh.accessLog.path", "InvalidValue"),
    ("spec: {mesh: {accessLog: {format: {text: ''}}}}", "spec.mesh.accessLog.format.text", "Required"),
    ("spec: {mesh: {gateways: {numTrustedProxies: 65}}}", "spec.mesh.gateways.numTrustedProxies", "OutOfRange"),
    ("spec: {mesh: {gateways: {numTrustedProxies: -1}}}", "spec.mesh.gateways.numTrustedProxies", "InvalidValue"),
    ("spec: {mesh: {trustdomain: a}}", "spec.mesh.trustdomain", "UnknownField"),
    ("spec: {discovery: {resources: {limits: {cpu: 1.2.3}}}}", "spec.discovery.resources.limits.cpu", "InvalidValue"),
    ("spec: {discovery: {resources: {limits: {cpu: 1e100}}}}", "spec.discovery.resources.limits.cpu", "InvalidValue"),
    ("spec: {discovery: {replicas: 0}}", "spec.discovery.replicas", "OutOfRange"),
    ("spec: {discovery: {autoscaling: {maxReplicas: 5}}}", "spec.discovery.replicas", "Conflict"),
    (
        "spec: {discovery: {replicas: null, autoscaling: {maxReplicas: 1}}}",
        "spec.discovery.autoscaling.maxReplicas",
        "OutOfRange",
    ),
    (
        "spec: {discovery: {replicas: null, autoscaling: {minReplicas: 0, maxReplicas: 1}}}",
        "spec.discovery.autoscaling.minReplicas",
        "OutOfRange",
    ),
    (
        "spec: {discovery: {replicas: null, autoscaling: {maxReplicas: 5, targetCpuPercent: 0}}}",
        "spec.discovery.autoscaling.targetCpuPercent",
        "OutOfRange",
    ),
    (
        "spec: {discovery: {resources: {requests: {memory: lots}}}}",
        "spec.discovery.resources.requests.memory",
        "InvalidValue",
    ),
    ("spec: {ca: {selfSigned: {}}}", "spec.ca", "Conflict"),
    ("spec: {ca: {secretRef: {name: A}}}", "spec.ca.secretRef.name", "InvalidValue"),
    (
        "spec: {ca: {secretRef: null, kubernetesSigner: {signerName: a}}}",
        "spec.ca.kubernetesSigner.signerName",
        "InvalidValue",
    ),
    (
        "spec: {ca: {secretRef: null, kubernetesSigner: {signerName: example.com/mesh}}}",
        "spec.ca.kubernetesSigner",
        "UnsupportedSigner",
    ),
    ("spec: {ca: {workloadCertTTL: 4s}}", "spec.ca.workloadCertTTL", "OutOfRange"),
    ("spec: {ca: {rootRotation: {overlap: 1w}}}", "spec.ca.rootRotation.overlap", "InvalidValue"),
    ("spec: {virtualMachines: {tokenTTL: 60}}", "spec.virtualMachines.tokenTTL", "InvalidValue"),
    ("spec: {update: {strategy: Recreate}}", "spec.update.strategy", "InvalidValue"),
    ("spec: {update: {canary: {steps: []}}}", "spec.update.canary.steps", "Required"),
    ("spec: {update: {canary: {steps: [{weight: 50}]}}}", "spec.update.canary.steps", "Required"),
    (
        "spec: {update: {canary: {steps: [{weight: 50}, {weight: 50}, {weight: 100}]}}}",
        "spec.update.canary.steps[1].weight",
        "OutOfRange",
    ),
    (
        "spec: {update: {canary: {steps: [{weight: 0}, {weight: 100}]}}}",
        "spec.update.canary.steps[0].weight",
        "OutOfRange",
    ),
    (
        "spec: {update: {canary: {gate: {maxChangedProxies: some}}}}",
        "spec.update.canary.gate.maxChangedProxies",
        "InvalidValue",
    ),
    (
        "spec: {update: {canary: {analysis: {maxErrorRateIncrease: 1}}}}",
        "spec.update.canary.analysis.maxErrorRateIncrease",
        "InvalidValue",
    ),
];

#[test]
fn what_cannot_be_installed_is_refused() {
    refuses(INSTALLATION, REFUSED);
}

#[test]
fn lengths_are_limited() {
    let long = "x".repeat(600);
    let aliases: Vec<String> = (0..65).map(|i| format!("a{i}")).collect();
    for (patch, field, reason) in [
        (format!("spec: {{images: {{registry: {long}}}}}"), "spec.images.registry", "TooLong"),
        (format!("spec: {{mesh: {{trustDomainAliases: {aliases:?}}}}}"), "spec.mesh.trustDomainAliases", "TooMany"),
        (
            format!("spec: {{ca: {{secretRef: null, kubernetesSigner: {{signerName: a/{long}}}}}}}"),
            "spec.ca.kubernetesSigner.signerName",
            "TooLong",
        ),
    ] {
        let told = tombolo_api::manifest::decode(patched(INSTALLATION, &patch), None).problems;
        let told: Vec<_> = told.iter().map(|p| (p.field.as_str(), p.reason)).collect();
        assert_eq!(told, [(field, reason)], "{patch}");
    }
}
