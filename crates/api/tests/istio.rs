//! What is accepted of Istio's kinds, what is refused, and where.

#![allow(clippy::panic)] // it is how a test fails

mod support;

use support::{accepted, accepts, patched, refuses, warns, yaml};
use tombolo_api::{AnyObject, Kind, istio::Resolution};

const SERVICE_ENTRY: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews.example.com]
  addresses: [10.1.0.1]
  location: MESH_INTERNAL
  resolution: STATIC
  exportTo: [., other]
  subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/reviews']
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8080}
  - {number: 443, name: https, protocol: TLS}
  endpoints:
  - {address: 10.0.0.1, ports: {http: 9080}, labels: {app: reviews}, weight: 3, locality: a/b/c, network: net, serviceAccount: r}
status:
  addresses: [{value: 240.240.0.1, host: reviews.example.com}]
  conditions: [{type: Reconciled, status: 'True'}]
";

const WORKLOAD_ENTRY: &str = "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-1, namespace: shop}
spec: {address: 10.0.0.1, ports: {http: 8080}, labels: {app: reviews}, network: net, locality: a/b, weight: 2, serviceAccount: r}
status: {conditions: [{type: Healthy, status: 'True'}]}
";

const WORKLOAD_GROUP: &str = "
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: reviews, namespace: shop}
spec:
  metadata: {labels: {app: reviews}, annotations: {example.com/note: free text}}
  template: {ports: {http: 8080}, serviceAccount: reviews}
  probe:
    initialDelaySeconds: 5
    timeoutSeconds: 3
    periodSeconds: 4
    successThreshold: 3
    failureThreshold: 3
    httpGet: {path: /ready, host: 127.0.0.1, port: 3100, scheme: HTTPS, httpHeaders: [{name: A_b-c, value: d}]}
";

#[test]
fn all_three_versions_are_one_schema() {
    for kind in [Kind::ServiceEntry, Kind::WorkloadEntry, Kind::WorkloadGroup] {
        assert_eq!(kind.versions(), ["v1", "v1beta1", "v1alpha3"]);
    }
    for good in [SERVICE_ENTRY, WORKLOAD_ENTRY, WORKLOAD_GROUP] {
        for version in ["v1", "v1beta1", "v1alpha3"] {
            accepted(&patched(good, &format!("apiVersion: networking.istio.io/{version}")));
        }
    }
}

#[test]
fn service_entries_that_istio_accepts_are_accepted() {
    accepts(
        SERVICE_ENTRY,
        &[
            "spec: {addresses: [10.0.0.0/8, 'fd00::/16', '001:db8::', 1.2.3.4/16]}",
            "spec: {resolution: NONE, endpoints: null, addresses: [1.1.1.1/32]}",
            "spec: {resolution: DNS, endpoints: null}",
            "spec: {resolution: DNS, endpoints: [{address: sub.example.com}]}",
            "spec: {resolution: DNS_ROUND_ROBIN, endpoints: [{address: sub.example.com.}]}",
            "spec: {resolution: DYNAMIC_DNS, location: MESH_EXTERNAL, hosts: ['*.example.com'], endpoints: null}",
            "spec: {resolution: DYNAMIC_DNS, location: MESH_EXTERNAL, hosts: ['*'], endpoints: null}",
            "spec: {hosts: [a.example.com, b.example.com, '*.c.example.com', reviews]}",
            "spec: {hosts: [reviews.example.com.]}",
            "spec: {ports: [{number: 80, name: A-1, protocol: grpc-web}], endpoints: null}",
            "spec: {ports: [{number: 80, name: a}], endpoints: [{address: 'unix:///run/a.sock'}]}",
            "spec: {ports: [{number: 80, name: a}], endpoints: [{address: 'unix://@a'}]}",
            "spec: {ports: null, endpoints: [{address: 10.0.0.1}]}",
            "spec: {endpoints: null, workloadSelector: {labels: {app: reviews}}}",
            "spec: {exportTo: ['*']}",
            "spec: {exportTo: ['~']}",
            "spec: {exportTo: null, location: null, subjectAltNames: null, addresses: null}",
        ],
    );
}

const REFUSED_SERVICE_ENTRIES: &[support::Case] = &[
    ("spec: null", "spec.hosts", "Required"),
    ("spec: {hosts: null}", "spec.hosts", "Required"),
    ("spec: {hosts: []}", "spec.hosts", "Required"),
    ("spec: {hosts: ['*']}", "spec.hosts[0]", "InvalidValue"),
    ("spec: {hosts: ['a_b.example.com']}", "spec.hosts[0]", "InvalidValue"),
    ("spec: {hosts: [10.0.0.1]}", "spec.hosts[0]", "InvalidValue"),
    ("spec: {hosts: ['a.*.com']}", "spec.hosts[0]", "InvalidValue"),
    ("spec: {hosts: ['foo*']}", "spec.hosts[0]", "InvalidValue"),
    ("spec: {addresses: [1.2.3.4/99]}", "spec.addresses[0]", "InvalidValue"),
    ("spec: {addresses: [example.com]}", "spec.addresses[0]", "InvalidValue"),
    ("spec: {addresses: [1.2.3.4/16], resolution: DNS}", "spec.addresses[0]", "Conflict"),
    ("spec: {ports: [{name: a, number: 1}, {name: a, number: 2}]}", "spec.ports[1].name", "Duplicate"),
    ("spec: {ports: [{name: a, number: 1}, {name: b, number: 1}]}", "spec.ports[1].number", "Duplicate"),
    ("spec: {ports: [{name: a, number: 99999}]}", "spec.ports[0].number", "InvalidValue"),
    ("spec: {ports: [{name: a, number: 0}]}", "spec.ports[0].number", "InvalidValue"),
    ("spec: {ports: [{name: a, number: 1, targetPort: 99999}]}", "spec.ports[0].targetPort", "InvalidValue"),
    ("spec: {ports: [{name: a_b, number: 1}]}", "spec.ports[0].name", "InvalidValue"),
    ("spec: {ports: [{number: 1}]}", "spec.ports[0].name", "Required"),
    ("spec: {ports: [{name: a, number: 1, protocol: SPDY}]}", "spec.ports[0].protocol", "InvalidValue"),
    ("spec: {location: MOON}", "spec.location", "InvalidValue"),
    ("spec: {resolution: MAGIC}", "spec.resolution", "InvalidValue"),
    ("spec: {workloadSelector: {labels: {app: a}}}", "spec.workloadSelector", "Conflict"),
    (
        "spec: {endpoints: null, workloadSelector: {labels: {app: '*'}}}",
        "spec.workloadSelector.labels.app",
        "InvalidValue",
    ),
    (
        "spec: {endpoints: null, workloadSelector: {labels: {'': a}}}",
        r#"spec.workloadSelector.labels[""]"#,
        "InvalidValue",
    ),
    ("spec: {resolution: NONE}", "spec.endpoints", "Conflict"),
    (
        "spec: {resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.com}, {address: b.com}]}",
        "spec.endpoints",
        "Conflict",
    ),
    ("spec: {resolution: DNS, endpoints: null, hosts: ['*.a.com']}", "spec.hosts[0]", "Conflict"),
    ("spec: {resolution: DYNAMIC_DNS, location: MESH_EXTERNAL}", "spec.hosts[0]", "Conflict"),
    ("spec: {resolution: DYNAMIC_DNS, hosts: ['*.a.com']}", "spec.location", "Conflict"),
    ("spec: {endpoints: [{address: example.com}]}", "spec.endpoints[0].address", "InvalidValue"),
    ("spec: {endpoints: [{}]}", "spec.endpoints[0].address", "Required"),
    ("spec: {endpoints: [{address: 10.0.0.1, ports: {x: 1}}]}", "spec.endpoints[0].ports.x", "UnknownPort"),
    ("spec: {endpoints: [{address: 10.0.0.1, ports: {http: 0}}]}", "spec.endpoints[0].ports.http", "InvalidValue"),
    ("spec: {endpoints: [{address: 10.0.0.1, labels: {a: '*'}}]}", "spec.endpoints[0].labels.a", "InvalidValue"),
    ("spec: {endpoints: [{address: 'unix:///a'}]}", "spec.endpoints[0].address", "Conflict"),
    ("spec: {resolution: DNS, endpoints: [{address: 'unix:///a'}]}", "spec.endpoints[0].address", "InvalidValue"),
    (
        "spec: {resolution: DNS, endpoints: [{address: a.com, ports: {x: 1}}]}",
        "spec.endpoints[0].ports.x",
        "UnknownPort",
    ),
    (
        "spec: {hosts: [a.com, b.com], ports: [{number: 1, name: a}], endpoints: null}",
        "spec.ports[0].protocol",
        "Conflict",
    ),
    ("spec: {exportTo: [., shop]}", "spec.exportTo[1]", "Duplicate"),
    ("spec: {exportTo: ['*', shop]}", "spec.exportTo[0]", "Conflict"),
    ("spec: {exportTo: [shop, '~']}", "spec.exportTo[1]", "Conflict"),
    ("spec: {exportTo: [a/b]}", "spec.exportTo[0]", "InvalidValue"),
    (
        "metadata: {annotations: {istio.io/dry-run: 'true'}}",
        r#"metadata.annotations["istio.io/dry-run"]"#,
        "InvalidValue",
    ),
    ("spec: {endpoint: []}", "spec.endpoint", "UnknownField"),
];

#[test]
fn service_entries_that_istio_refuses_are_refused() {
    refuses(SERVICE_ENTRY, REFUSED_SERVICE_ENTRIES);
}

#[test]
fn limits_of_service_entries_are_the_crds() {
    let many = |n: usize, item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<Vec<_>>().join(", ");
    let cases = [
        (format!("spec: {{hosts: [{}]}}", many(257, &|i| format!("h{i}.com"))), "spec.hosts", "TooMany"),
        (
            format!("spec: {{addresses: [{}]}}", many(257, &|i| format!("10.0.{}.{}", i / 256, i % 256))),
            "spec.addresses",
            "TooMany",
        ),
        (
            format!(
                "spec: {{ports: [{}]}}",
                many(257, &|i| format!("{{name: p{i}, number: {}, protocol: HTTP}}", i + 1))
            ),
            "spec.ports",
            "TooMany",
        ),
        (
            format!("spec: {{endpoints: [{}]}}", many(4097, &|_| "{address: 10.0.0.1}".to_owned())),
            "spec.endpoints",
            "TooMany",
        ),
        (
            format!("spec: {{endpoints: [{{address: 10.0.0.1, network: {}}}]}}", "n".repeat(2049)),
            "spec.endpoints[0].network",
            "TooLong",
        ),
        (
            format!("spec: {{endpoints: null, workloadSelector: {{labels: {{a: {}}}}}}}", "v".repeat(64)),
            "spec.workloadSelector.labels.a",
            "TooLong",
        ),
    ];
    for (patch, field, reason) in cases {
        let decoded = tombolo_api::manifest::decode(patched(SERVICE_ENTRY, &patch), None);
        assert!(
            decoded.problems.iter().any(|p| p.field.as_str() == field && p.reason == reason),
            "{:?}",
            decoded.problems
        );
    }
}

#[test]
fn what_istio_warns_of_is_a_warning() {
    warns(
        SERVICE_ENTRY,
        &[
            ("spec: {hosts: ['*x.example.com', a.example.com]}", "spec.hosts[0]", "Unsupported"),
            ("spec: {endpoints: null, workloadSelector: {}}", "spec.workloadSelector", "SelectsAll"),
            (
                "spec: {resolution: DNS, endpoints: null, workloadSelector: {labels: {a: b}}}",
                "spec.workloadSelector",
                "Ineffective",
            ),
            ("spec: {endpoints: [{network: net}]}", "spec.endpoints[0].address", "Ineffective"),
            (
                "spec: {addresses: null, resolution: NONE, endpoints: null, ports: [{name: a, number: 1}]}",
                "spec.ports[0]",
                "Ineffective",
            ),
            (
                "{metadata: {labels: {networking.istio.io/enable-autoallocate-ip: 'false'}}, spec: {addresses: null, endpoints: null, ports: [{name: a, number: 1, protocol: TCP}]}}",
                "spec.ports[0]",
                "Ineffective",
            ),
            (
                "spec: {resolution: DYNAMIC_DNS, location: MESH_EXTERNAL, hosts: ['*.a.com']}",
                "spec.endpoints",
                "Ineffective",
            ),
            (
                "spec: {endpoints: null, ports: [{number: 53, name: dns, protocol: UDP}]}",
                "spec.ports[0].protocol",
                "Unsupported",
            ),
        ],
    );
}

#[test]
fn partial_wildcards_leave_the_places_of_other_hosts() {
    let patch = "spec: {hosts: ['*x.example.com', a.example.com, '*-y', '*.b.example.com']}";
    let decoded = tombolo_api::manifest::decode(patched(SERVICE_ENTRY, patch), None);
    let Some(AnyObject::ServiceEntry(entry)) = decoded.object else { panic!("{:?}", decoded.problems) };
    let places: Vec<_> = entry.hosts.places().map(|(i, host)| (i, host.as_str())).collect();
    assert_eq!(places, [(1, "a.example.com"), (3, "*.b.example.com")]);
    assert_eq!(entry.resolution, Resolution::Static);
}

#[test]
fn workload_entries_that_istio_accepts_are_accepted() {
    accepts(
        WORKLOAD_ENTRY,
        &[
            "spec: {address: 'fd00::1'}",
            "spec: {address: example.com}",
            "spec: {address: 'unix://@foo', ports: null}",
            "spec: {address: 'unix:///foo/bar', ports: null}",
        ],
    );
    warns(WORKLOAD_ENTRY, &[("spec: {address: null}", "spec.address", "Ineffective")]);
}

#[test]
fn workload_entries_that_istio_refuses_are_refused() {
    refuses(
        WORKLOAD_ENTRY,
        &[
            ("spec: {address: null, network: null}", "spec.address", "Required"),
            ("spec: {address: 'unix:///dir/', ports: null}", "spec.address", "InvalidValue"),
            ("spec: {address: 'unix://relative', ports: null}", "spec.address", "InvalidValue"),
            ("spec: {address: 'unix://@foo'}", "spec.ports", "Conflict"),
            ("spec: {address: a_b}", "spec.address", "InvalidValue"),
            ("spec: {address: 10.0.0.256}", "spec.address", "InvalidValue"),
            ("spec: {ports: {http: 99999}}", "spec.ports.http", "InvalidValue"),
            ("spec: {ports: {'@': 80}}", r#"spec.ports["@"]"#, "InvalidValue"),
            ("spec: {labels: {'a b': c}}", r#"spec.labels["a b"]"#, "InvalidValue"),
            ("spec: {weight: -1}", "spec.weight", "InvalidValue"),
            (
                "metadata: {annotations: {istio.io/dry-run: 'true'}}",
                r#"metadata.annotations["istio.io/dry-run"]"#,
                "InvalidValue",
            ),
            ("spec: {adress: 10.0.0.1}", "spec.adress", "UnknownField"),
        ],
    );
}

#[test]
fn workload_groups_that_istio_accepts_are_accepted() {
    accepts(
        WORKLOAD_GROUP,
        &[
            "spec: {probe: null, metadata: null}",
            "spec: {template: {ports: null, serviceAccount: null, network: net, locality: a/b, weight: 3, labels: {a: b}}}",
            "spec: {probe: {httpGet: null, tcpSocket: {port: 1}}}",
            "spec: {probe: {httpGet: null, exec: {command: [/bin/true]}}}",
            "spec: {probe: {httpGet: null, grpc: {port: 1, service: a.B}}}",
            "spec: {probe: {httpGet: {scheme: ''}}}",
        ],
    );
    warns(WORKLOAD_GROUP, &[("spec: {template: {address: 10.0.0.1}}", "spec.template.address", "Ineffective")]);
}

#[test]
fn workload_groups_that_istio_refuses_are_refused() {
    refuses(
        WORKLOAD_GROUP,
        &[
            ("spec: null", "spec.template", "Required"),
            ("spec: {template: null}", "spec.template", "Required"),
            ("spec: {metadata: {labels: {a: '*'}}}", "spec.metadata.labels.a", "InvalidValue"),
            ("spec: {probe: {httpGet: null}}", "spec.probe", "Conflict"),
            ("spec: {probe: {tcpSocket: {port: 1}}}", "spec.probe", "Conflict"),
            ("spec: {probe: {periodSeconds: -1}}", "spec.probe.periodSeconds", "InvalidValue"),
            ("spec: {probe: {periodSeconds: 2147483648}}", "spec.probe.periodSeconds", "OutOfRange"),
            ("spec: {probe: {httpGet: null, tcpSocket: {port: 65536}}}", "spec.probe.tcpSocket.port", "InvalidValue"),
            ("spec: {probe: {httpGet: {scheme: FTP}}}", "spec.probe.httpGet.scheme", "InvalidValue"),
            (
                "spec: {probe: {httpGet: {httpHeaders: [{name: '**'}]}}}",
                "spec.probe.httpGet.httpHeaders[0].name",
                "InvalidValue",
            ),
            ("spec: {probe: {httpGet: null, exec: {command: []}}}", "spec.probe.exec.command", "Required"),
            ("spec: {probe: {httpGet: null, exec: {command: [a, '']}}}", "spec.probe.exec.command[1]", "Required"),
        ],
    );
}

#[test]
fn the_manifests_here_are_of_the_kinds_they_say() {
    assert_eq!(accepted(&yaml(SERVICE_ENTRY)).kind(), Kind::ServiceEntry);
    assert_eq!(accepted(&yaml(WORKLOAD_ENTRY)).kind(), Kind::WorkloadEntry);
    assert_eq!(accepted(&yaml(WORKLOAD_GROUP)).kind(), Kind::WorkloadGroup);
}
