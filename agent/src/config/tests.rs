//! What counts more, what is warned about, what is refused.

use super::{Config, ConfigError, Flags, Surroundings, file::ProxyConfig};
use clap::Parser;
use proptest::prelude::*;
use serde_json::json;
use std::{path::PathBuf, time::Duration};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

fn resolve(line: &str, environment: &[(&str, &str)], file: &str) -> Result<(Config, Vec<String>), ConfigError> {
    let flags = Line::try_parse_from(["x"].into_iter().chain(line.split_whitespace())).unwrap().flags;
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::resolve(
        &flags,
        &Surroundings {
            environment: environment.iter().map(pair).collect(),
            file: Some(("mesh.yaml".to_owned(), file.as_bytes().to_vec())),
            host: "vm-1".into(),
            addresses: vec![[10, 0, 0, 7].into()],
            present: vec![],
        },
    )
}

const DISCOVERY: &str = "discoveryAddress: file:15012\n";

fn config(line: &str, environment: &[(&str, &str)], file: &str) -> Config {
    resolve(line, environment, &format!("{DISCOVERY}{file}")).unwrap().0
}

/// What is looked at; a flag, a variable and a line of the file that set it; and what it is by each, and by none of them.
type Case = (fn(&Config) -> String, &'static str, (&'static str, &'static str), &'static str, [&'static str; 4]);

/// A variable that nobody reads, where there is none to set.
const NONE: (&str, &str) = ("NOBODY_READS_THIS", "x");

#[rustfmt::skip] // a table
const PRECEDENCE: [Case; 18] = [
    (|c| c.discovery[0].to_string(), "--discovery a:1", NONE, "", ["a:1", "file:15012", "file:15012", "file:15012"]),
    (|c| c.ca()[0].to_string(), "--ca a:1", ("CA_ADDR", "b:2"), "", ["a:1", "b:2", "file:15012", "file:15012"]),
    (|c| c.identity.spiffe.trust_domain.to_string(), "--trust-domain a", ("TRUST_DOMAIN", "b"), "proxyMetadata: {TRUST_DOMAIN: c}", ["a", "b", "c", "cluster.local"]),
    (|c| c.identity.spiffe.namespace.to_string(), "--namespace a", ("POD_NAMESPACE", "b"), "proxyMetadata: {POD_NAMESPACE: c}", ["a", "b", "c", "default"]),
    (|c| c.identity.spiffe.namespace.to_string(), "--namespace a", ("ISTIO_NAMESPACE", "b"), "proxyMetadata: {ISTIO_NAMESPACE: c}", ["a", "b", "c", "default"]),
    (|c| c.identity.spiffe.service_account.to_string(), "--service-account a", ("SERVICE_ACCOUNT", "b"), "proxyMetadata: {SERVICE_ACCOUNT: c}", ["a", "b", "c", "default"]),
    (|c| c.node.name.clone(), "--name a", ("POD_NAME", "b"), "proxyMetadata: {POD_NAME: c}", ["a", "b", "c", "vm-1"]),
    (|c| c.node.addresses[0].to_string(), "--address 1.1.1.1", ("INSTANCE_IP", "2.2.2.2"), "proxyMetadata: {ISTIO_SVC_IP: 3.3.3.3}", ["1.1.1.1", "2.2.2.2", "3.3.3.3", "10.0.0.7"]),
    (|c| c.node.kind.to_string(), "--kind router", ("PROXY_TYPE", "router"), "", ["router", "router", "sidecar", "sidecar"]),
    (|c| c.envoy.program.display().to_string(), "--envoy /a", ("ENVOY_BIN", "/b"), "binaryPath: /c", ["/a", "/b", "/c", "envoy"]),
    (|c| format!("{:?}", c.envoy.drain.deadline), "--drain 1s", ("TERMINATION_DRAIN_DURATION_SECONDS", "2"), "terminationDrainDuration: 3s", ["1s", "2s", "3s", "5s"]),
    (|c| format!("{:?}", c.envoy.concurrency), "--concurrency 1", NONE, "concurrency: 3", ["Some(1)", "Some(3)", "Some(3)", "None"]),
    (|c| c.dns.enabled.to_string(), "--dns=false", ("ISTIO_META_DNS_CAPTURE", "true"), "proxyMetadata: {ISTIO_META_DNS_CAPTURE: true}", ["false", "true", "true", "false"]),
    (|c| c.dns.whole_table.to_string(), "--whole-name-table=false", ("WHOLE_NAME_TABLE", "true"), "proxyMetadata: {WHOLE_NAME_TABLE: true}", ["false", "true", "true", "false"]),
    (|c| c.dns.address.to_string(), "--dns-address 127.0.0.1:1", ("DNS_PROXY_ADDR", "localhost:53"), "proxyMetadata: {DNS_PROXY_ADDR: '127.0.0.3:3'}", ["127.0.0.1:1", "127.0.0.1:53", "127.0.0.3:3", "127.0.0.1:15053"]),
    (|c| c.admin.to_string(), "--admin 0.0.0.0:1", NONE, "statusPort: 3", ["0.0.0.0:1", "127.0.0.1:3", "127.0.0.1:3", "127.0.0.1:15020"]),
    (|c| format!("{:?}", c.secret_ttl), "--secret-ttl 1s", ("SECRET_TTL", "2s"), "proxyMetadata: {SECRET_TTL: 3s}", ["1s", "2s", "3s", "86400s"]),
    (|c| c.state_dir.display().to_string(), "--state-dir /a", ("STATE_DIRECTORY", "/b"), "proxyMetadata: {STATE_DIRECTORY: /c}", ["/a", "/b", "/c", "/var/lib/tombolo"]),
];

#[test]
fn a_flag_counts_more_than_a_variable_that_more_than_the_file_that_more_than_the_default() {
    for (look, flag, variable, file, [by_flag, by_variable, by_file, by_default]) in PRECEDENCE {
        assert_eq!(look(&config(flag, &[variable], file)), by_flag, "{flag}");
        assert_eq!(look(&config("", &[variable], file)), by_variable, "{variable:?}");
        assert_eq!(look(&config("", &[], file)), by_file, "{file}");
        assert_eq!(look(&config("", &[], "")), by_default, "{flag}");
    }
}

#[test]
fn the_files_of_istios_bundle_for_a_machine_are_understood() {
    let mesh = r#"
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
  meshId: mesh-a
  proxyMetadata:
    CANONICAL_SERVICE: web
    CANONICAL_REVISION: latest
    ISTIO_META_CLUSTER_ID: Kubernetes
    ISTIO_META_NETWORK: vms
    ISTIO_META_WORKLOAD_NAME: web
    ISTIO_META_AUTO_REGISTER_GROUP: web
    ISTIO_META_DNS_CAPTURE: "true"
    ISTIO_METAJSON_LABELS: '{"app":"web","service.istio.io/canonical-revision":"v2"}'
    POD_NAMESPACE: shop
    SERVICE_ACCOUNT: web
    TRUST_DOMAIN: example.org
  readinessProbe:
    periodSeconds: 5
    httpGet: {path: /healthz, port: 8080}
  tracing: {zipkin: {address: "zipkin:9411"}}
"#;
    let environment = [
        ("ISTIO_NAMESPACE", "shop"),
        ("ISTIO_SERVICE", "web.shop"),
        ("ISTIO_INBOUND_PORTS", "*"),
        ("SERVICE_ACCOUNT", "web"),
        ("CA_ADDR", "istiod-canary.istio-system.svc:15012"),
        ("PROV_CERT", "/etc/certs"),
        ("OUTPUT_CERTS", "/etc/certs"),
    ];
    let (config, warnings) = resolve("", &environment, mesh).unwrap();
    assert_eq!(warnings, ["defaultConfig.tracing of mesh.yaml is not supported here and has no effect"]);
    assert_eq!(config.identity.spiffe.to_string(), "spiffe://example.org/ns/shop/sa/web");
    assert_eq!(config.ca()[0].to_string(), "istiod-canary.istio-system.svc:15012");
    assert_eq!(config.provided_certs, Some(PathBuf::from("/etc/certs")));
    assert!(config.dns.enabled);
    assert_eq!(config.probe.as_ref().unwrap().timing.period_seconds, 5);
    let node = config.node();
    assert_eq!(node.id(), "sidecar~10.0.0.7~vm-1.shop~shop.svc.cluster.local");
    assert_eq!(node.cluster(), "web.shop");
    let labels = json!({
        "app": "web", "service.istio.io/canonical-name": "web", "service.istio.io/canonical-revision": "v2",
    });
    let expected = json!({
        "NAME": "vm-1", "NAMESPACE": "shop", "SERVICE_ACCOUNT": "web", "INSTANCE_IPS": "10.0.0.7", "LABELS": labels,
        "CLUSTER_ID": "Kubernetes", "NETWORK": "vms", "WORKLOAD_NAME": "web", "AUTO_REGISTER_GROUP": "web",
        "DNS_CAPTURE": "true", "MESH_ID": "mesh-a",
    });
    assert_eq!(json!(node.metadata()), expected);
    serde_json::to_string(&config).unwrap(); // for /debug
}

#[test]
fn proxy_config_in_the_environment_counts_more_than_the_file_and_its_metadata_more_than_the_files() {
    let inline = "{discoveryAddress: 'inline:1', proxyMetadata: {POD_NAME: inline, ISTIO_META_A: '1'}}";
    let file = "discoveryAddress: file:2\nstatusPort: 7\nproxyMetadata: {POD_NAME: file, ISTIO_META_B: '2'}";
    let config = resolve("", &[("PROXY_CONFIG", inline)], file).unwrap().0;
    assert_eq!((config.discovery[0].to_string(), config.admin.port()), ("inline:1".to_owned(), 7));
    assert_eq!(config.node.name, "inline");
    assert_eq!((&config.node.metadata["A"], &config.node.metadata["B"]), (&json!("1"), &json!("2")));
}

#[test]
fn any_of_a_settings_variables_counts_more_in_the_environment_than_in_the_file() {
    let config = config("", &[("ISTIO_SVC_IP", "2.2.2.2")], "proxyMetadata: {INSTANCE_IP: 3.3.3.3}");
    assert_eq!(config.node.addresses[0].to_string(), "2.2.2.2");
}

#[test]
fn json_metadata_is_told_as_istios_agents_tell_it() {
    let environment =
        [("ISTIO_METAJSON_X", r#"{"a": {"b": 1}}"#), ("ISTIO_METAJSON_N", "[1]"), ("ISTIO_META_EMPTY", "")];
    let metadata = config("", &environment, "").node.metadata;
    assert_eq!(json!(metadata), json!({"a": {"b": 1}, "N": [1], "DNS_CAPTURE": "false"}));
}

#[test]
fn where_the_control_plane_is_must_be_known() {
    assert_eq!(resolve("", &[], "").unwrap_err(), ConfigError::NoDiscovery);
    let config = resolve("", &[("CA_ADDR", "ca:1")], "").unwrap().0;
    assert_eq!(config.discovery[0].to_string(), "ca:1");
    let config = resolve("--discovery a:1 --discovery b:2", &[], "").unwrap().0;
    assert_eq!(config.discovery.len(), 2);
}

#[test]
fn what_is_impossible_is_refused_by_name_and_with_what_would_be_possible() {
    /// Variables, a line of the file, and what the error says.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
    let cases: [Case<'_>; 15] = [
        (&[("SECRET_TTL", "banana")], "", &["SECRET_TTL", "banana", "5s"]),
        (&[("SECRET_TTL", "1ms")], "", &["SECRET_TTL", "second"]),
        (&[("TRUST_DOMAIN", "A B")], "", &["TRUST_DOMAIN", "lower-case"]),
        (&[("CA_ADDR", "nowhere")], "", &["CA_ADDR", "HOST:PORT"]),
        (&[("INSTANCE_IP", "x")], "", &["INSTANCE_IP", "IP address"]),
        (&[("POD_NAMESPACE", "a~b")], "", &["namespace", "a~b"]),
        (&[("POD_NAME", "a/b")], "", &["POD_NAME", "a/b"]),
        (&[("PROXY_TYPE", "waypoint")], "", &["PROXY_TYPE", "waypoint", "sidecar"]),
        (&[("ISTIO_METAJSON_LABELS", "[1]")], "", &["ISTIO_METAJSON_LABELS", "JSON object"]),
        (&[("MINIMUM_DRAIN_DURATION", "1h")], "", &["MINIMUM_DRAIN_DURATION", "longer"]),
        (&[], "terminationDrainDuration: 5", &["terminationDrainDuration", "mesh.yaml"]),
        (&[], "statusPort: 70000", &["statusPort", "70000"]),
        (&[], "readinessProbe: {}", &["readinessProbe", "httpGet"]),
        (&[], "proxyMetadata: {A: [1]}", &["proxyMetadata.A", "quotes"]),
        (&[], "a: [", &["mesh.yaml", "YAML"]),
    ];
    for (environment, file, expected) in cases {
        let error = resolve("", environment, &format!("{DISCOVERY}{file}")).unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{environment:?} {file}: {error}");
    }
}

#[test]
fn drains_are_told_apart() {
    let config = config("", &[("MINIMUM_DRAIN_DURATION", "2s")], "terminationDrainDuration: 30s\ndrainDuration: 1m");
    let drain = config.envoy.drain;
    let seconds = [drain.deadline, drain.minimum, drain.listeners].map(|duration| duration.as_secs());
    assert_eq!(seconds, [30, 2, 60]);
    assert_eq!(config.secret_ttl, Duration::from_secs(86_400));
}

proptest! {
    #![proptest_config(crate::testing::many())]

    /// Any bytes, and bytes that look like YAML, are a config or an error.
    #[test]
    fn any_file_is_read_or_refused(bytes in any::<[u8; 24]>()) {
        const PIECES: [&[u8]; 16] = [
            b"defaultConfig:", b"\n", b"  ", b"proxyMetadata", b": ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"- ", b"'",
            b"5s", b"statusPort: 1", b"readinessProbe: {exec: {command: [a]}}",
        ];
        let alike: Vec<u8> = bytes.iter().flat_map(|byte| PIECES[usize::from(*byte) % PIECES.len()]).copied().collect();
        for text in [&bytes[..], &alike] {
            _ = ProxyConfig::parse("file", text, &mut vec![]);
        }
    }
}
