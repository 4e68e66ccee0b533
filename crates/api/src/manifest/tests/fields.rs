//! Unknown and mistyped fields, kinds and metadata: each with its path and a fix.

use super::{ROUTE, one, told};
use crate::AnyObject;

/// The good route with one text replaced.
fn edited(from: &str, to: &str) -> Vec<String> {
    assert!(ROUTE.contains(from), "{from}");
    told(&one(ROUTE.replace(from, to)))
}

#[test]
fn a_good_object_has_no_problem() {
    let decoded = one(ROUTE);
    assert_eq!(told(&decoded), [""; 0]);
    assert_eq!(decoded.reference.to_string(), "HTTPRoute shop/web");
    assert!(matches!(decoded.object, Some(AnyObject::HttpRoute(route)) if route.rules.len() == 1));
}

#[test]
fn unknown_fields_are_told_with_path_and_likely_spelling() {
    assert_eq!(
        edited("matches:", "matchs:"),
        ["error spec.rules[0].matchs UnknownField: unknown field; did you mean matches?"]
    );
    assert_eq!(
        edited("path: {value", "path: {colour: red, value"),
        ["error spec.rules[0].matches[0].path.colour UnknownField: unknown field; remove it"]
    );
    assert_eq!(edited("spec:", "spce: {}\nspec:"), ["error spce UnknownField: unknown field; did you mean spec?"]);
    assert_eq!(
        edited("namespace: shop", "namspace: shop"),
        ["error metadata.namspace UnknownField: unknown field; did you mean namespace?"]
    );
    let many: String = (0..1000).map(|i| format!("x{i}: 1, ")).collect();
    assert_eq!(edited("path: {", &format!("path: {{{many}")).len(), 32);
}

#[test]
fn mistyped_fields_are_told_in_plain_words() {
    for (from, to, expected) in [
        (
            "port: 80",
            "port: http",
            "backendRefs[0].port InvalidValue: expected a whole number, found text; write it without quotes",
        ),
        (
            "port: 80",
            "port: 70000",
            "backendRefs[0].port InvalidValue: 70000 is not a port; use a number from 1 to 65535",
        ),
        (
            "port: 80",
            "port: 80, weight: -1",
            "backendRefs[0].weight InvalidValue: -1 is out of range; use a whole number from 0 to 4294967295",
        ),
        (
            "name: web, port",
            "name: 5, port",
            "backendRefs[0].name InvalidValue: expected text, found a whole number; put it in quotes",
        ),
        (
            "name: web, port",
            "name: on, port",
            "backendRefs[0].name InvalidValue: expected text, found true or false; put it in quotes",
        ),
        (
            "[{name: web, port: 80}]",
            "{name: web}",
            "backendRefs InvalidValue: expected a list, found a mapping; begin each element with '- '",
        ),
        (
            "[{name: web, port: 80}]",
            "[web]",
            "backendRefs[0] InvalidValue: expected a mapping, found text; write fields as 'name: value', indented below it",
        ),
        (
            "{name: web, port: 80}",
            "[]",
            "backendRefs[0] InvalidValue: expected a mapping, found a list; write fields as 'name: value', without '- '",
        ),
        ("{name: web, port: 80}", "{port: 80}", "backendRefs[0].name Required: required, but missing; add name"),
        (
            "value: /a",
            "type: Prefix, value: /a",
            "matches[0].path.type InvalidValue: \"Prefix\" is not one of Exact, PathPrefix, RegularExpression; use one of these",
        ),
        (
            "value: /a",
            "type: Pathprefix, value: /a",
            "matches[0].path.type InvalidValue: \"Pathprefix\" is not one of Exact, PathPrefix, RegularExpression; did you mean PathPrefix?",
        ),
    ] {
        assert_eq!(edited(from, to), [format!("error spec.rules[0].{expected}")]);
    }
}

#[test]
fn nulls_are_absent_fields() {
    assert_eq!(edited("parentRefs: [{name: edge}]", "parentRefs: null\n  hostnames:"), [""; 0]);
    assert_eq!(edited("{name: web, namespace: shop}", "{name: web, labels: null, creationTimestamp: null}"), [""; 0]);
    assert_eq!(
        edited("{name: web, port: 80}", "null"),
        ["error spec.rules[0].backendRefs[0] InvalidValue: expected a mapping, found nothing; \
          write fields as 'name: value', indented below it"]
    );
}

#[test]
fn what_a_cluster_adds_to_metadata_is_accepted() {
    let meta =
        "{name: web, namespace: shop, uid: u, resourceVersion: '5', generation: 3, selfLink: /x, generateName: w,
        finalizers: [a], ownerReferences: [{kind: X}], managedFields: [{f: {}}], deletionGracePeriodSeconds: 3,
        creationTimestamp: '2026-01-31T12:00:00Z', deletionTimestamp: '2026-01-31T12:00:00Z'}";
    let decoded = one(ROUTE.replace("{name: web, namespace: shop}", meta) + "status: {parents: []}\n");
    assert_eq!(told(&decoded), [""; 0]);
    assert_eq!(decoded.object.unwrap().metadata().generation, 3);
}

#[test]
fn only_what_says_something_without_a_spec_may_have_none() {
    let bare = |version: &str, kind: &str| one(format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n"));
    let route = bare("gateway.networking.k8s.io/v1", "HTTPRoute");
    assert_eq!(told(&route), ["error spec Required: required, but missing; add spec"]);
    assert_eq!(told(&bare("mesh.tombolo.dev/v1alpha1", "MeshInstallation")), [""; 0]);
    assert_eq!(told(&bare("v1", "Namespace")), [""; 0]);
}

#[test]
fn metadata_follows_kubernetes_syntax() {
    let meta = "{name: web, namespace: shop}";
    for (to, expected) in [
        ("{namespace: shop}", "metadata.name Required: required, but missing"),
        ("{name: Web}", "metadata.name InvalidName: not a valid name"),
        ("{name: web, namespace: a.b}", "metadata.namespace InvalidName: not a valid namespace"),
        ("{name: web, labels: {-a: b}}", "metadata.labels.-a InvalidName: not a valid label's key"),
        ("{name: web, labels: {a: b c}}", "metadata.labels.a InvalidName: not a valid label's value"),
        ("{name: web, labels: {a: 1.10}}", "metadata.labels.a InvalidValue: expected text, found a fractional number"),
        (
            "{name: web, annotations: {a/b/c: x}}",
            "metadata.annotations[\"a/b/c\"] InvalidName: not a valid annotation's key",
        ),
        ("{name: web, creationTimestamp: now}", "metadata.creationTimestamp InvalidValue: \"now\" is not a time"),
    ] {
        let problems = edited(meta, to);
        assert!(problems.len() == 1 && problems[0].starts_with(&format!("error {expected}")), "{problems:?}");
    }
    let long = format!("{{name: web, annotations: {{a: {}}}}}", "x".repeat(256 << 10));
    assert!(edited(meta, &long)[0].contains("metadata.annotations TooLong"));
}

#[test]
fn names_follow_the_kind() {
    let name =
        |kind: &str, name: &str| told(&one(format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n")));
    assert_eq!(name("ConfigMap", "0a.b"), [""; 0]);
    assert!(name("Namespace", "a.b")[0].contains("metadata.name InvalidName"));
    assert!(name("Service", "0a")[0].contains("metadata.name InvalidName"));
}

#[test]
fn a_missing_namespace_is_default_and_a_needless_one_is_told() {
    let decoded = one(ROUTE.replace(", namespace: shop", ""));
    assert_eq!(decoded.reference.to_string(), "HTTPRoute default/web");
    assert_eq!(&*decoded.object.unwrap().metadata().namespace, "default");
    let decoded = one("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, namespace: x}\n");
    assert!(told(&decoded)[0].starts_with("warning metadata.namespace NoNamespace"));
    assert_eq!(decoded.reference.to_string(), "Namespace shop");
    assert_eq!(&*decoded.object.unwrap().metadata().namespace, "");
}

#[test]
fn kinds_are_ours_to_come_foreign_or_mistakes() {
    let kind = |version: &str, kind: &str| {
        one(format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{}}\n"))
    };
    for (version, name) in [("apps/v1", "Deployment"), ("v1", "Pod"), ("serving.knative.dev/v1", "Service")] {
        let decoded = kind(version, name);
        assert!(decoded.is_foreign() && decoded.object.is_none() && decoded.kind.is_none(), "{name}");
    }
    for (version, name) in [
        ("gateway.networking.k8s.io/v1", "GRPCRoute"),
        ("networking.istio.io/v1", "VirtualService"),
        ("networking.istio.io/v1", "Gateway"),
        ("security.istio.io/v1", "PeerAuthentication"),
        ("v1", "Endpoints"),
    ] {
        let problems = told(&kind(version, name));
        assert!(problems.len() == 1 && problems[0].starts_with("warning kind UnsupportedKind"), "{problems:?}");
    }
    for (version, name, expected) in [
        (
            "gateway.networking.k8s.io/v1",
            "HTTPRout",
            "error kind UnknownKind: group \"gateway.networking.k8s.io\" has no kind \"HTTPRout\"; did you mean HTTPRoute?",
        ),
        (
            "networking.istio.io/v1",
            "WorkloadEntri",
            "error kind UnknownKind: group \"networking.istio.io\" has no kind \"WorkloadEntri\"; did you mean WorkloadEntry?",
        ),
        ("v1", "service", "error kind UnknownKind: group \"\" has no kind \"service\"; did you mean Service?"),
        (
            "v1",
            "HTTPRoute",
            "error apiVersion UnknownKind: kind HTTPRoute is not in group \"\"; use gateway.networking.k8s.io/v1",
        ),
        (
            "gateway.networking.k8s.io/v1alpha2",
            "HTTPRoute",
            "error apiVersion UnknownVersion: HTTPRoute has no version \"v1alpha2\"; there are v1, v1beta1; use gateway.networking.k8s.io/v1",
        ),
    ] {
        assert_eq!(told(&kind(version, name)), [expected]);
    }
}

#[test]
fn documents_that_are_no_objects_are_told() {
    for (text, expected) in [
        ("hello\n", "error  Malformed: the document is not a mapping"),
        ("- a\n", "error  Malformed: the document is not a mapping"),
        ("kind: Service\n", "error apiVersion Malformed: required, but missing"),
        ("apiVersion: v1\n", "error kind Malformed: required, but missing"),
        ("apiVersion: v1\nkind: [Service]\n", "error kind Malformed: expected a word"),
        ("apiVersion: v1\nkind: Service\nmetadata: x\n", "error metadata InvalidValue: expected a mapping, found text"),
    ] {
        let decoded = one(text);
        assert!(told(&decoded)[0].starts_with(expected), "{:?}", told(&decoded));
        assert!(decoded.object.is_none() && !decoded.is_foreign());
    }
}
