//! What is accepted of Kubernetes' own kinds, what is refused, and where.

#![allow(clippy::panic)] // it is how a test fails

mod support;

use support::{accepted, accepts, patched, refuses, yaml};
use tombolo_api::{AnyObject, kubernetes::TargetPort};

/// With every field that `ServiceSpec` has.
const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, 'fd00::1']
  externalIPs: [1.2.3.4]
  externalTrafficPolicy: Local
  internalTrafficPolicy: Cluster
  healthCheckNodePort: 30001
  allocateLoadBalancerNodePorts: true
  loadBalancerClass: example.com/lb
  loadBalancerIP: 1.2.3.4
  loadBalancerSourceRanges: [0.0.0.0/0]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: PreferDualStack
  publishNotReadyAddresses: false
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}}
  trafficDistribution: PreferSameZone
  selector: {app: reviews}
  ports:
  - {name: http, port: 80, targetPort: web, protocol: TCP, appProtocol: kubernetes.io/h2c, nodePort: 30080}
  - {name: admin, port: 81, targetPort: 8081}
status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}
";

/// With every field that an `EndpointSlice` has.
const SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-abc, namespace: shop, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
endpoints:
- addresses: [10.0.0.1]
  conditions: {ready: true, serving: true, terminating: false}
  hostname: reviews-1
  nodeName: node-1
  zone: a
  targetRef: {kind: Pod, name: reviews-1, namespace: shop, uid: u}
  deprecatedTopology: {a: b}
  hints: {forZones: [{name: a}], forNodes: [{name: node-1}]}
ports:
- {name: http, port: 8080, protocol: TCP, appProtocol: http}
- {name: admin, port: null}
";

const SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: cert, namespace: shop}
type: kubernetes.io/tls
immutable: true
data: {tls.crt: YQ==}
stringData: {tls.key: b}
";

const CONFIG_MAP: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: ca, namespace: shop}
immutable: false
data: {ca.crt: text}
binaryData: {other: AAAA}
";

const NAMESPACE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
spec: {finalizers: [kubernetes]}
status: {phase: Active}
";

#[test]
fn every_field_of_the_api_is_accepted() {
    let AnyObject::Service(service) = accepted(&yaml(SERVICE)) else { panic!("a Service") };
    assert_eq!(service.ports[0].target_port, Some(TargetPort::Name("web".into())));
    assert_eq!(service.ports.len(), 2);
    let AnyObject::EndpointSlice(slice) = accepted(&yaml(SLICE)) else { panic!("an EndpointSlice") };
    assert_eq!(slice.endpoints[0].zone.as_deref(), Some("a"));
    let AnyObject::Secret(secret) = accepted(&yaml(SECRET)) else { panic!("a Secret") };
    assert_eq!((secret.data["tls.crt"].expose(), secret.data["tls.key"].expose()), (&b"a"[..], &b"b"[..]));
    accepted(&yaml(CONFIG_MAP));
    accepted(&yaml(NAMESPACE));
}

#[test]
fn fields_that_no_api_has_are_refused_as_by_strict_validation() {
    let unknown = [
        (SERVICE, "spec: {externalIps: []}", "spec.externalIps"),
        (SLICE, "endpoint: []", "endpoint"),
        (SECRET, "immutabel: true", "immutabel"),
        (CONFIG_MAP, "datum: {}", "datum"),
        (NAMESPACE, "specs: {}", "specs"),
    ];
    for (good, patch, field) in unknown {
        refuses(good, &[(patch, field, "UnknownField")]);
    }
}

#[test]
fn services_that_the_api_server_accepts_are_accepted() {
    accepts(
        SERVICE,
        &[
            "spec: {type: ExternalName, externalName: example.com., ports: null, clusterIP: null, clusterIPs: null}",
            "spec: {type: ClusterIP, clusterIP: None, clusterIPs: [None], ports: null}",
            "spec: {clusterIP: '', clusterIPs: null, selector: null}",
            "spec: {ports: [{port: 80}]}",
            "spec: {ports: [{name: dns, port: 53, protocol: TCP}, {name: dns-udp, port: 53, protocol: UDP}]}",
            "spec: {trafficDistribution: PreferClose, sessionAffinity: None}",
        ],
    );
}

const REFUSED_SERVICES: &[support::Case] = &[
    ("spec: {ports: []}", "spec.ports", "Required"),
    ("spec: {ports: [{port: 80}, {name: b, port: 81}]}", "spec.ports[0].name", "Required"),
    ("spec: {ports: [{name: A, port: 80}]}", "spec.ports[0].name", "InvalidValue"),
    ("spec: {ports: [{name: a, port: 80}, {name: a, port: 81}]}", "spec.ports[1].name", "Duplicate"),
    ("spec: {ports: [{name: a, port: 80}, {name: b, port: 80}]}", "spec.ports[1]", "Duplicate"),
    ("spec: {ports: [{port: 0}]}", "spec.ports[0].port", "InvalidValue"),
    ("spec: {ports: [{port: 80, protocol: tcp}]}", "spec.ports[0].protocol", "InvalidValue"),
    ("spec: {ports: [{port: 80, targetPort: a_b}]}", "spec.ports[0].targetPort", "InvalidValue"),
    ("spec: {ports: [{port: 80, appProtocol: a b}]}", "spec.ports[0].appProtocol", "InvalidValue"),
    ("spec: {type: Magic}", "spec.type", "InvalidValue"),
    ("spec: {clusterIP: 10.96.0.256, clusterIPs: null}", "spec.clusterIP", "InvalidValue"),
    ("spec: {clusterIP: '', clusterIPs: [x]}", "spec.clusterIPs[0]", "InvalidValue"),
    ("spec: {clusterIP: 10.96.0.2}", "spec.clusterIPs[0]", "Conflict"),
    ("spec: {clusterIPs: [10.96.0.1, 10.96.0.2]}", "spec.clusterIPs[1]", "Conflict"),
    ("spec: {clusterIPs: [10.96.0.1, None]}", "spec.clusterIPs", "Conflict"),
    ("spec: {clusterIPs: [10.96.0.1, 'fd00::1', 10.96.0.3]}", "spec.clusterIPs", "TooMany"),
    ("spec: {clusterIP: None, clusterIPs: null}", "spec.clusterIP", "Conflict"),
    ("spec: {type: ExternalName, clusterIP: null, clusterIPs: null}", "spec.externalName", "Required"),
    (
        "spec: {type: ExternalName, externalName: a_b, clusterIP: null, clusterIPs: null}",
        "spec.externalName",
        "InvalidValue",
    ),
    ("spec: {type: ExternalName, externalName: a.com}", "spec.clusterIP", "Conflict"),
    ("spec: {selector: {app: '*'}}", "spec.selector.app", "InvalidValue"),
    ("spec: {sessionAffinity: Cookie}", "spec.sessionAffinity", "InvalidValue"),
    ("spec: {trafficDistribution: PreferFar}", "spec.trafficDistribution", "InvalidValue"),
];

#[test]
fn services_that_the_api_server_refuses_are_refused() {
    refuses(SERVICE, REFUSED_SERVICES);
}

#[test]
fn endpoint_slices_that_the_api_server_accepts_are_accepted() {
    accepts(
        SLICE,
        &[
            "{addressType: IPv6, endpoints: [{addresses: ['fd00::1']}]}",
            "{addressType: FQDN, endpoints: [{addresses: [vm.example.com]}]}",
            "{endpoints: null, ports: null}",
            "{endpoints: [{addresses: [127.0.0.1]}]}",
            "{ports: [{port: 80}]}",
        ],
    );
}

#[test]
fn endpoint_slices_that_the_api_server_refuses_are_refused() {
    let endpoint = "endpoints[0]";
    let cases = [
        ("addressType: IPv5", "addressType".to_owned(), "InvalidValue"),
        ("endpoints: [{addresses: []}]", format!("{endpoint}.addresses"), "Required"),
        ("endpoints: [{addresses: ['fd00::1']}]", format!("{endpoint}.addresses[0]"), "InvalidValue"),
        ("addressType: IPv6", format!("{endpoint}.addresses[0]"), "InvalidValue"),
        ("{addressType: FQDN, endpoints: [{addresses: [vm]}]}", format!("{endpoint}.addresses[0]"), "InvalidValue"),
        ("endpoints: [{addresses: [10.0.0.1], hostname: A}]", format!("{endpoint}.hostname"), "InvalidValue"),
        (
            "endpoints: [{addresses: [10.0.0.1], hints: {forZones: [{name: a}, {name: a}]}}]",
            format!("{endpoint}.hints.forZones[1].name"),
            "Duplicate",
        ),
        (
            "endpoints: [{addresses: [10.0.0.1], hints: {forNodes: [{name: ''}]}}]",
            format!("{endpoint}.hints.forNodes[0].name"),
            "Required",
        ),
        ("ports: [{name: a, port: 80}, {name: a, port: 81}]", "ports[1].name".to_owned(), "Duplicate"),
        ("ports: [{name: A, port: 80}]", "ports[0].name".to_owned(), "InvalidValue"),
        ("ports: [{port: 65536}]", "ports[0].port".to_owned(), "InvalidValue"),
        ("ports: [{port: 80, appProtocol: a/b/c}]", "ports[0].appProtocol".to_owned(), "InvalidValue"),
    ];
    for (patch, field, reason) in cases {
        let decoded = tombolo_api::manifest::decode(patched(SLICE, patch), None);
        let found = decoded.problems.iter().any(|p| p.field.as_str() == field && p.reason == reason);
        assert!(found && decoded.object.is_none(), "{patch}: {:?}", decoded.problems);
    }
}

#[test]
fn secrets_and_config_maps_that_the_api_server_refuses_are_refused() {
    refuses(
        SECRET,
        &[
            ("data: {tls.crt: null}", "data[\"tls.crt\"]", "Required"),
            ("stringData: {tls.key: null}", "data[\"tls.key\"]", "Required"),
            ("data: {a/b: YQ==}", "data[\"a/b\"]", "InvalidValue"),
            ("data: {other: '!'}", "data.other", "InvalidValue"),
        ],
    );
    refuses(CONFIG_MAP, &[("data: {..a: text}", "data[\"..a\"]", "InvalidValue")]);
    let large = format!("data: {{big: {}}}", "x".repeat(1024 * 1024));
    let decoded = tombolo_api::manifest::decode(patched(CONFIG_MAP, &large), None);
    assert_eq!(decoded.problems[0].reason, "TooLong");
}
