use super::*;
use serde_json::{Value, json};

/// A review of an object, as an API server sends it.
pub(crate) fn asked(operation: &str, object: &Value) -> Value {
    let (group, version) = object["apiVersion"].as_str().unwrap().rsplit_once('/').unwrap_or(("", "v1"));
    let kind = json!({"group": group, "version": version, "kind": object["kind"]});
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": kind,
            "resource": {"group": group, "version": version, "resource": "things"},
            "requestKind": kind,
            "name": object["metadata"]["name"],
            "namespace": "shop",
            "operation": operation,
            "userInfo": {"username": "admin", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": null,
            "dryRun": false,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    })
}

/// A route whose first rule has this besides.
pub(crate) fn route(rule: &Value) -> Value {
    let mut route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "shop", "uid": "1", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {}}]},
        "spec": {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
    });
    let rule = rule.as_object().unwrap().clone();
    route["spec"]["rules"][0].as_object_mut().unwrap().extend(rule);
    route
}

fn answered(asked: &Value) -> Value {
    let reviewed = review(asked.to_string().as_bytes()).unwrap();
    serde_json::to_value(reviewed.answer).unwrap()
}

fn warned(object: &Value) -> Vec<String> {
    let answer = answered(&asked("CREATE", object));
    assert_eq!(answer["response"]["allowed"], true, "nothing is refused");
    serde_json::from_value(answer["response"].get("warnings").cloned().unwrap_or(json!([]))).unwrap()
}

#[test]
fn what_is_good_is_allowed_in_silence() {
    let answer = answered(&asked("CREATE", &route(&json!({}))));
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"].get("warnings"), None);
}

#[test]
fn what_is_not_supported_is_named() {
    let said = warned(&route(&json!({"sessionPersistence": {"sessionName": "a"}})));
    let [line] = &said[..] else { panic!("{said:?}") };
    assert!(line.contains("spec.rules[0].sessionPersistence") && line.contains("not supported"), "{line}");
}

#[test]
fn a_kind_that_is_not_supported_yet_is_named() {
    let service = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}});
    let said = warned(&service);
    assert!(said[0].contains("VirtualService is not supported yet"), "{said:?}");
    let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {}});
    assert!(warned(&other).is_empty(), "what nobody here reads is nobody's business here");
}

#[test]
fn what_validate_says_is_what_is_warned_of() {
    let broken = route(&json!({"sessionPersistence": {}, "timeouts": {"request": "1s", "backendRequest": "5s"}}));
    let problems = manifest::decode_stored(broken.clone()).problems;
    let said = warned(&broken);
    assert_eq!(said.len(), problems.len());
    for problem in &problems {
        assert!(said.iter().any(|line| line.contains(&problem.field.to_string())), "{problem}: {said:?}");
    }
    assert!(said[0].starts_with("not served as written: "), "the worst comes first: {said:?}");
}

#[test]
fn an_object_that_goes_is_left_in_peace() {
    let mut going = route(&json!({"sessionPersistence": {}}));
    assert!(!warned(&going).is_empty());
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert!(warned(&going).is_empty());
    let mut deletion = asked("DELETE", &going);
    deletion["request"]["object"] = Value::Null;
    assert_eq!(answered(&deletion)["response"]["allowed"], true);
}

#[test]
fn there_are_never_more_or_longer_warnings_than_an_api_server_passes_on() {
    let unsupported = vec![json!({"backendRefs": [{"name": "web", "port": 80}], "sessionPersistence": {}}); 16];
    let mut many = route(&json!({}));
    many["spec"]["rules"] = unsupported.into();
    let said = warned(&many);
    assert_eq!(said.len(), MOST + 1);
    assert_eq!(said[MOST], "1 more problems: tombolo validate shows all");
    let object = tombolo_core::ObjectRef::new("HTTPRoute", tombolo_core::NamespacedName::new("shop", "web"));
    let text = "ä\n".repeat(LONGEST);
    let long = Problem::warning(object, tombolo_core::FieldPath::root(), "Long", text);
    let line = line(&long);
    assert_eq!((line.chars().count(), line.ends_with('…')), (LONGEST, true));
    assert!(!line.contains('\n'));
}

#[test]
fn what_is_anothers_can_be_passed_over() {
    let body = asked("CREATE", &route(&json!({"sessionPersistence": {}}))).to_string();
    let reviewed = review(body.as_bytes()).unwrap();
    assert_eq!(reviewed.claim, Claim::Gateways(vec![tombolo_core::NamespacedName::new("shop", "edge")]));
    let silent = serde_json::to_value(reviewed.silent().answer).unwrap();
    assert_eq!((&silent["response"]["allowed"], silent["response"].get("warnings")), (&json!(true), None));
}

#[test]
fn garbage_is_told_what_is_expected() {
    for (body, said) in [
        ("", "no AdmissionReview"),
        ("hello", "no AdmissionReview"),
        ("{}", "no AdmissionReview"),
        (r#"{"apiVersion": "v1", "kind": "Pod"}"#, r#"Pod of "v1""#),
        (r#"{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}"#, "v1beta1"),
        (r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#, "no request"),
        (
            r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": 5}}"#,
            "no AdmissionReview",
        ),
    ] {
        let error = review(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{body}: {error}");
    }
}
