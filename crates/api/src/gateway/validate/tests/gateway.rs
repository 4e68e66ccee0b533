//! GatewayClass, Gateway and ReferenceGrant.

use super::{check, check_below, times, told};

const CLASS: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tombolo}
spec:
  controllerName: mesh.tombolo.dev/gateway-controller
  description: ours
  parametersRef: {group: example.com, kind: Settings, name: s, namespace: ns}
";

#[test]
fn gateway_classes() {
    check(
        CLASS,
        &[
            ("mesh.tombolo.dev/gateway-controller", "x", "controllerName InvalidValue"),
            ("mesh.tombolo.dev/gateway-controller", "A.com/x", "controllerName InvalidValue"),
            ("mesh.tombolo.dev/gateway-controller", &format!("a/{}", "x".repeat(252)), "controllerName InvalidValue"),
            ("ours", &"x".repeat(65), "description InvalidValue"),
            ("example.com", "Example.com", "parametersRef.group InvalidValue"),
            ("Settings", "1x", "parametersRef.kind InvalidValue"),
            ("name: s,", "name: '',", "parametersRef.name InvalidValue"),
            ("namespace: ns", "namespace: a.b", "parametersRef.namespace InvalidValue"),
        ],
    );
    assert_eq!(
        told(&CLASS.replace("controllerName", "controlerName")),
        ["controlerName UnknownField", "controllerName Required"]
    );
}

const GRANT: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: g}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]
  to: [{group: '', kind: Service, name: web}]
";

#[test]
fn reference_grants() {
    let from = "[{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]";
    let to = "[{group: '', kind: Service, name: web}]";
    check(
        GRANT,
        &[
            (from, "[]", "from Required"),
            (from, &format!("[{}]", times(17, "{group: '', kind: Service, namespace: nsN}")), "from TooMany"),
            ("gateway.networking.k8s.io, kind", "-x, kind", "from[0].group InvalidValue"),
            ("HTTPRoute", "''", "from[0].kind InvalidValue"),
            ("namespace: shop", "namespace: Shop", "from[0].namespace InvalidValue"),
            (to, "[]", "to Required"),
            (to, &format!("[{}]", times(17, "{group: '', kind: Service}")), "to TooMany"),
            ("''", "A", "to[0].group InvalidValue"),
            ("kind: Service", "kind: a.b", "to[0].kind InvalidValue"),
            ("name: web", "name: ''", "to[0].name InvalidValue"),
            (", name: web", "", ""),
        ],
    );
}

const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: tombolo
  infrastructure: {labels: {a: b}, annotations: {a: b}, parametersRef: {group: x, kind: K, name: own}}
  addresses: [{value: 10.0.0.1}, {type: Hostname, value: '*.example.com'}, {type: example.com/own, value: x}]
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: a.example.com}
  - name: https
    port: 443
    protocol: HTTPS
    tls: {certificateRefs: [{name: cert, namespace: certs}]}
    allowedRoutes:
      kinds: [{kind: HTTPRoute}]
      namespaces: {from: Selector, selector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: In, values: [d]}]}}
  - {name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}
  - {name: tcp, port: 9000, protocol: TCP}
";

#[test]
fn listeners() {
    let http = "{name: http, port: 80, protocol: HTTP, hostname: a.example.com}";
    let many = format!(
        "{}}}\n  - {http}",
        (1..65).map(|i| format!("{{name: l{i}, port: {i}, protocol: HTTP")).collect::<Vec<_>>().join("}\n  - ")
    );
    check(
        GATEWAY,
        &[
            ("gatewayClassName: tombolo", "gatewayClassName: ''", "gatewayClassName InvalidValue"),
            (http, &many, "listeners TooMany"),
            ("name: tcp", "name: http", "listeners[3].name Duplicate"),
            ("name: tcp", "name: A", "listeners[3].name InvalidValue"),
            (http, "{name: http, port: 9000, protocol: TCP}", "listeners[3] Duplicate"),
            (http, &format!("{http}\n  - {{name: b, port: 80, protocol: HTTP, hostname: b.example.com}}"), ""),
            (http, &format!("{http}\n  - {{name: b, port: 80, protocol: HTTP}}"), ""),
            ("port: 80,", "port: 0,", "listeners[0].port InvalidValue"),
            ("protocol: HTTP,", "protocol: 'HTTP ',", "listeners[0].protocol InvalidValue"),
            ("protocol: HTTP,", "protocol: example.com/own,", ""),
            ("protocol: HTTP,", "protocol: '-/x.com/own',", ""),
            ("protocol: HTTP,", "protocol: 'x-/own',", "listeners[0].protocol InvalidValue"),
            ("hostname: a.example.com", "hostname: '*.example.com'", ""),
            ("a.example.com", "'*'", "listeners[0].hostname InvalidValue"),
            ("a.example.com", "A.example.com", "listeners[0].hostname InvalidValue"),
            ("a.example.com", "a_b.example.com", "listeners[0].hostname InvalidValue"),
            ("a.example.com", "10.0.0.1", "?listeners[0].hostname UnusualHostname"),
            ("a.example.com", "''", "listeners[0].hostname InvalidValue"),
            ("protocol: TCP", "protocol: TCP, hostname: a.b", "listeners[3].hostname Forbidden"),
            ("protocol: TCP", "protocol: UDP, hostname: a.b", "listeners[3].hostname Forbidden"),
        ],
    );
}

#[test]
fn a_gateway_without_listeners_or_with_ten_thousand() {
    let head = GATEWAY.split("  listeners:").next().unwrap();
    assert_eq!(told(&format!("{head}  listeners: []\n")), ["listeners Required"]);
    assert_eq!(told(head), ["listeners Required"]);
    let flood = format!("{head}  listeners: [{}]\n", times(10_000, "{name: A_N, port: 1, protocol: TCP, hostname: x}"));
    assert!(told(&flood).len() < 300);
}

#[test]
fn listener_tls() {
    let refs = "certificateRefs: [{name: cert, namespace: certs}]";
    check(
        GATEWAY,
        &[
            ("protocol: HTTP,", "protocol: HTTP, tls: {certificateRefs: [{name: c}]},", "listeners[0].tls Forbidden"),
            ("protocol: TCP", "protocol: TCP, tls: {mode: Passthrough}", "listeners[3].tls Forbidden"),
            ("protocol: TCP", "protocol: UDP, tls: {mode: Passthrough}", "listeners[3].tls Forbidden"),
            (&format!("    tls: {{{refs}}}\n"), "", ""), // the listener's status tells
            (", tls: {mode: Passthrough}", "", "listeners[2].tls Required"),
            ("tls: {cert", "tls: {mode: Passthrough, cert", "listeners[1].tls.mode InvalidValue"),
            ("mode: Passthrough", "mode: Pass", "listeners[2].tls.mode InvalidValue"),
            ("mode: Passthrough", "mode: Terminate", "listeners[2].tls.certificateRefs Required"),
            (refs, "certificateRefs: []", "listeners[1].tls.certificateRefs Required"),
            (
                refs,
                &format!("certificateRefs: [{}]", times(65, "{name: cN}")),
                "listeners[1].tls.certificateRefs TooMany",
            ),
            (refs, "options: {a: b}", "?listeners[1].tls.options Unsupported"),
            (
                refs,
                &format!("{refs}, options: {{{}}}", times(17, "oN: v")),
                "listeners[1].tls.options TooMany|?listeners[1].tls.options Unsupported",
            ),
            (
                refs,
                &format!("options: {{a: {}}}", "x".repeat(4097)),
                "listeners[1].tls.options.a InvalidValue|?listeners[1].tls.options Unsupported",
            ),
            ("name: cert,", "name: '',", "listeners[1].tls.certificateRefs[0].name InvalidValue"),
            ("namespace: certs", "namespace: C", "listeners[1].tls.certificateRefs[0].namespace InvalidValue"),
            ("name: cert,", "name: cert, kind: '',", "listeners[1].tls.certificateRefs[0].kind InvalidValue"),
            ("name: cert,", "name: cert, group: X,", "listeners[1].tls.certificateRefs[0].group InvalidValue"),
        ],
    );
}

#[test]
fn allowed_routes() {
    let at = "listeners[1].allowedRoutes";
    check_below(
        GATEWAY,
        at,
        &[
            ("[{kind: HTTPRoute}]", &format!("[{}]", times(9, "{kind: KN}")), "kinds TooMany"),
            ("kind: HTTPRoute", "kind: ''", "kinds[0].kind InvalidValue"),
            ("kind: HTTPRoute", "kind: X, group: A", "kinds[0].group InvalidValue"),
            ("from: Selector", "from: None", "namespaces.from InvalidValue"),
            ("from: Selector", "from: Any", "namespaces.from InvalidValue"),
            ("matchLabels: {a: b}", "matchLabels: {-a: b}", "namespaces.selector.matchLabels.-a InvalidName"),
            ("matchLabels: {a: b}", "matchLabels: {a: -b}", "namespaces.selector.matchLabels.a InvalidName"),
            ("key: c", "key: ''", "namespaces.selector.matchExpressions[0].key InvalidName"),
            ("[d]", "['d e']", "namespaces.selector.matchExpressions[0].values[0] InvalidName"),
            ("[d]", "[]", "namespaces.selector.matchExpressions[0].values InvalidSelector"),
            ("operator: In", "operator: Exists", "namespaces.selector.matchExpressions[0].values InvalidSelector"),
            ("operator: In", "operator: Is", "namespaces.selector.matchExpressions[0].operator InvalidValue"),
        ],
    );
    let selector = ", selector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: In, values: [d]}]}";
    check(
        GATEWAY,
        &[
            (selector, "", "?listeners[1].allowedRoutes.namespaces.selector Required"),
            ("from: Selector", "from: All", "?listeners[1].allowedRoutes.namespaces.selector Ignored"),
        ],
    );
}

#[test]
fn addresses_and_infrastructure() {
    let long = "x".repeat(4097);
    check(
        GATEWAY,
        &[
            ("10.0.0.1", "10.0.0.256", "addresses[0].value InvalidValue"),
            ("10.0.0.1", "'::1'", ""),
            ("{value: 10.0.0.1}", "{type: IPAddress}", ""),
            ("10.0.0.1", "''", "addresses[0] InvalidValue"),
            ("'*.example.com'", "''", "addresses[1] InvalidValue"),
            ("*.example.com", "*.Example.com", "addresses[1].value InvalidValue"),
            ("example.com/own, value: x", "own, value: x", "addresses[2].type InvalidValue"),
            ("value: x", &format!("value: {}", "x".repeat(254)), "addresses[2].value InvalidValue"),
            ("{type: example.com/own, value: x}", "{value: 10.0.0.1}", "addresses[2].value Duplicate"),
            (
                "type: example.com/own, value: x",
                "type: Hostname, value: '*.example.com'",
                "addresses[2].value Duplicate",
            ),
            ("{value: 10.0.0.1}", &times(17, "{value: 10.0.1.N}"), "addresses TooMany"),
            ("labels: {a: b}", &format!("labels: {{{}}}", times(9, "lN: v")), "infrastructure.labels TooMany"),
            ("labels: {a: b}", "labels: {-a: b}", "infrastructure.labels.-a InvalidName"),
            ("labels: {a: b}", "labels: {a: -b}", "infrastructure.labels.a InvalidName"),
            (
                "annotations: {a: b}",
                &format!("annotations: {{{}}}", times(17, "lN: v")),
                "infrastructure.annotations TooMany",
            ),
            ("annotations: {a: b}", "annotations: {-a: b}", "infrastructure.annotations.-a InvalidValue"),
            ("annotations: {a: b}", &format!("annotations: {{{}/a: b}}", "x".repeat(252)), ""),
            (
                "annotations: {a: b}",
                &format!("annotations: {{{}/a: b}}", "x".repeat(253)),
                &format!("infrastructure.annotations[\"{}/a\"] InvalidName", "x".repeat(253)),
            ),
            ("type: Hostname", "type: HostnameOfOurs", ""), // for the status to tell
            (
                "annotations: {a: b}",
                &format!("annotations: {{a: {long}}}"),
                "infrastructure.annotations.a InvalidValue",
            ),
            (
                "group: x, kind: K, name: own",
                "group: X, kind: K, name: own",
                "infrastructure.parametersRef.group InvalidValue",
            ),
        ],
    );
}

#[test]
fn fields_to_come_are_warnings() {
    let class = "gatewayClassName: tombolo";
    let with = |field: &str| format!("{class}\n  {field}");
    check(
        GATEWAY,
        &[
            (class, &with("allowedListeners: {namespaces: {from: All}}"), "?allowedListeners Unsupported"),
            (class, &with("tls: {frontend: {default: {}}}"), "?tls Unsupported"),
            (class, &with("defaultScope: All"), "?defaultScope Unsupported"),
        ],
    );
}
