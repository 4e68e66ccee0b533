//! A Gateway's `spec.tls`, and who may bring listeners: not supported, and checked.

use super::{Case, check, times};

const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: tombolo
  listeners: [{name: http, port: 80, protocol: HTTP}]
";
const TLS: &str = "
  tls:
    backend: {clientCertificateRef: {name: own, namespace: certs}}
    frontend:
      default: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}
      perPort: [{port: 443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca, namespace: x}]}}}]
";

/// Each edit makes its problem, besides the warning that none of it is supported.
fn check_tls(cases: &[Case<'_>]) {
    for (from, to, expected) in cases {
        assert!(TLS.contains(from), "{from} is not in the good text");
        let expected = [*expected].into_iter().filter(|e| !e.is_empty()).map(|e| format!("|tls.{e}"));
        let expected = format!("?tls Unsupported{}", expected.collect::<String>());
        let tls = format!("protocol: HTTP}}]{}", TLS.replacen(from, to, 1));
        check(GATEWAY, &[("protocol: HTTP}]", &tls, &expected)]);
    }
}

#[test]
fn certificates() {
    let one =
        "{port: 443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca, namespace: x}]}}}";
    let authority = "{group: '', kind: ConfigMap, name: ca, namespace: x}";
    let own = "frontend.perPort[0].tls.validation.caCertificateRefs";
    check_tls(&[
        ("name: own", "name: own", ""),
        ("name: own", "name: ''", "backend.clientCertificateRef.name InvalidValue"),
        ("namespace: certs", "namespace: Certs", "backend.clientCertificateRef.namespace InvalidValue"),
        ("namespace: x", "namespace: ''", &format!("{own}[0].namespace InvalidValue")),
        (authority, "", &format!("{own} Required")),
        (authority, &times(17, "{group: '', kind: K, name: nN}"), &format!("{own} TooMany")),
        (one, &times(65, "{port: 1N, tls: {}}"), "frontend.perPort TooMany"),
        (one, &format!("{one}, {{port: 443, tls: {{}}}}"), "frontend.perPort[1].port Duplicate"),
    ]);
}

#[test]
fn what_is_of_another_type_is_refused_as_a_whole() {
    let with = |field: &str| format!("gatewayClassName: tombolo\n  {field}");
    let class = "gatewayClassName: tombolo";
    check(
        GATEWAY,
        &[
            (class, &with("tls: true"), "tls InvalidValue"),
            (class, &with("tls: {frontend: {}}"), "tls.frontend.default Required"),
            (
                class,
                &with("tls: {frontend: {default: {validation: {}}}}"),
                "tls.frontend.default.validation.caCertificateRefs Required",
            ),
            (
                class,
                &with("allowedListeners: {namespaces: {from: Some}}"),
                "allowedListeners.namespaces.from InvalidValue",
            ),
            (
                class,
                &with("allowedListeners: {namespaces: {selector: {matchExpressions: [{key: a}]}}}"),
                "allowedListeners.namespaces.selector.matchExpressions[0].operator Required",
            ),
            // An API server stores any operator.
            (
                class,
                &with("allowedListeners: {namespaces: {selector: {matchExpressions: [{key: a, operator: Is}]}}}"),
                "?allowedListeners Unsupported",
            ),
        ],
    );
}
