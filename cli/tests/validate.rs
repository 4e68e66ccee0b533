//! `tombolo validate` and `translate`: exit codes and what they print.

mod support;

use std::{
    io::Write,
    process::{Output, Stdio},
};
use support::tombolo;

const GOOD: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
const BAD: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {nam: a}\n";
/// No such Service: a mistake that only translation sees.
const DANGLING: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tombolo}
spec: {controllerName: mesh.tombolo.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: demo}
spec:
  gatewayClassName: tombolo
  listeners: [{name: web, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: demo}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: nobody, port: 80}]}]
";
/// Known, not supported yet: a warning.
const WARNED: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: a, namespace: demo}
spec: {}
";
const FOREIGN: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}\n";

fn with_input(arguments: &[&str], input: &str) -> Output {
    let mut command = tombolo();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn validate(input: &str) -> (i32, String) {
    let output = with_input(&["validate", "-f", "-"], input);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_exit_code_says_whether_anything_is_wrong() {
    for (input, code, words) in [
        (GOOD, 0, "valid: 1 object"),
        ("", 0, "valid: 0 objects"),
        (FOREIGN, 0, "1 document of other kinds passed over"),
        (WARNED, 0, "1 warning"),
        (BAD, 1, "metadata.nam"),
        (DANGLING, 1, "nobody"),
        ("kind: [", 1, "-:1"),
    ] {
        let (actual, printed) = validate(input);
        assert_eq!(actual, code, "{input}\n{printed}");
        assert!(printed.contains(words), "{words:?} in {printed}");
    }
}

#[test]
fn warnings_count_where_that_is_asked_for() {
    assert_eq!(with_input(&["validate", "--strict", "-f", "-"], WARNED).status.code(), Some(1));
}

#[test]
fn wrong_usage_and_unreadable_files_are_2() {
    for arguments in
        [&["validate"][..], &["validate", "-f", "/nonexistent.yaml"], &["nonsense"], &["run", "/nonexistent"]]
    {
        let output = with_input(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn json_names_the_object_the_field_and_the_fix() {
    let output = with_input(&["validate", "-o", "json", "-f", "-"], BAD);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["valid"], false);
    let unknown = report["problems"].as_array().unwrap().iter().find(|p| p["field"] == "metadata.nam").unwrap();
    assert_eq!((&unknown["severity"], &unknown["origin"]["line"]), (&"error".into(), &1.into()));
    assert!(unknown["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{unknown}");
}

#[test]
fn every_example_is_valid() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let mut seen = 0;
    for example in std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        let output = with_input(&["validate", "--strict", "-f", example.to_str().unwrap()], "");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !printed.contains("valid: 0 objects"), "{}: {printed}", example.display());
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn translate_lists_proxies_and_prints_what_one_would_get() {
    let list = with_input(&["translate", "-f", "-"], DANGLING);
    assert!(String::from_utf8(list.stdout).unwrap().contains("gateway/demo/edge"));
    let routes =
        with_input(&["translate", "-f", "-", "--proxy", "gateway/demo/edge", "--type", "rds", "-o", "json"], DANGLING);
    let routes: serde_json::Value = serde_json::from_slice(&routes.stdout).unwrap();
    assert_eq!(routes["rds"][0]["name"], "http.80", "{routes}");
    assert!(routes.get("cds").is_none());
    let status = with_input(&["translate", "-f", "-", "--status", "-o", "json"], DANGLING);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let route = status.as_array().unwrap().iter().find(|object| object["kind"] == "HTTPRoute").unwrap();
    let conditions = route["status"]["parents"][0]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["type"] == "ResolvedRefs" && c["status"] == "False"), "{route}");
    let unknown = with_input(&["translate", "-f", "-", "--proxy", "gateway/demo/nobody"], DANGLING);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("gateway/demo/edge"), "it names those there are");
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = with_input(&["completions", shell], "");
        assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains("translate"), "{shell}");
    }
}
