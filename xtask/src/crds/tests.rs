use super::*;
use crate::{generated, workspace};
use std::{fs, path::Path};

/// The schema that a version of a kind is checked against; unknown fields refused, as by strict validation.
fn validator(kind: impl Into<Names>) -> jsonschema::Validator {
    let names = kind.into();
    let definition = definitions().into_iter().find(|d| d.names == names).unwrap();
    let mut schema = object_schema(&definition);
    close(&mut schema["properties"]["spec"]);
    jsonschema::validator_for(&schema).unwrap()
}

fn close(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    let open = ["additionalProperties", "x-kubernetes-preserve-unknown-fields"].iter().any(|k| schema.contains_key(*k));
    if schema.contains_key("properties") && !open {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.iter_mut().for_each(|(_, property)| close(property));
    }
    schema.get_mut("items").into_iter().for_each(close);
}

/// How many documents of our kinds a text holds; panics where one does not fit its schema.
fn check(text: &str, from: &str) -> usize {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|e| panic!("{from}: {e}"));
    let mut count = 0;
    for document in documents {
        let Some(kind) = definitions().iter().map(|d| d.names).find(|names| names.kind == document["kind"]) else {
            continue;
        };
        let errors: Vec<_> =
            validator(kind).iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{from}: {}: {errors:#?}", kind.kind);
        count += 1;
    }
    count
}

fn yaml_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let yaml = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    files.into_iter().filter(yaml).chain(directories.iter().flat_map(|d| yaml_files(d))).collect()
}

#[test]
fn the_files_are_up_to_date() {
    let files = files().unwrap();
    assert_eq!(files.len(), 2 * 6);
    generated::settle(&files, true).unwrap();
}

#[test]
fn manifests_with_every_field_fit_the_schemas() {
    assert_eq!(check(include_str!("fixture.yaml"), "fixture.yaml"), 4);
}

#[test]
fn every_example_fits_its_schema() {
    let examples = workspace::root().join("examples");
    for path in yaml_files(&examples) {
        check(&fs::read_to_string(&path).unwrap(), &path.display().to_string());
    }
}

#[test]
fn schemas_refuse_what_the_types_refuse() {
    let refused = [
        (Kind::ServiceEntry, json!({"spec": {}})),
        (Kind::ServiceEntry, json!({"spec": {"hosts": []}})),
        (Kind::ServiceEntry, json!({"spec": {"hosts": ["a"], "ports": [{"name": "a", "number": 0}]}})),
        (Kind::ServiceEntry, json!({"spec": {"hosts": ["a"], "resolution": "MAGIC"}})),
        (Kind::ServiceEntry, json!({"spec": {"hosts": ["a"], "host": "b"}})),
        (Kind::WorkloadEntry, json!({})),
        (Kind::WorkloadEntry, json!({"spec": {"address": "x".repeat(257)}})),
        (Kind::WorkloadGroup, json!({"spec": {}})),
        (Kind::WorkloadGroup, json!({"spec": {"template": {}, "probe": {"httpGet": {"port": 1, "scheme": "FTP"}}}})),
        (Kind::MeshInstallation, json!({"spec": {"update": {"strategy": "Recreate"}}})),
        (Kind::MeshInstallation, json!({"spec": {"mesh": {"accessLog": {"format": {"text": "a", "json": {}}}}}})),
        (Kind::MeshInstallation, json!({"spec": {"ca": {"workloadCertTTL": "1w"}}})),
    ];
    for (kind, document) in refused {
        assert!(!validator(kind).is_valid(&document), "{kind}: {document}");
    }
}

/// What Kubernetes asks of a structural schema: a type for each node, and no constructs that hide one.
fn structural(schema: &Value, at: &str) {
    let fields = schema.as_object().unwrap_or_else(|| panic!("{at}: {schema}"));
    for forbidden in ["$ref", "oneOf", "const", "definitions", "$defs", "patternProperties", "default"] {
        assert!(!fields.contains_key(forbidden), "{at} has {forbidden}");
    }
    let untyped = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
    let typed = fields.get("type").is_some_and(Value::is_string) || untyped.iter().any(|k| fields.contains_key(*k));
    assert!(typed, "{at} has no type: {schema}");
    assert!(!(fields.contains_key("properties") && fields.contains_key("additionalProperties")), "{at}");
    for (name, property) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
        structural(property, &format!("{at}.{name}"));
        assert!(name == "spec" || property["description"].is_string(), "{at}.{name} has no description");
    }
    fields.get("items").into_iter().for_each(|items| structural(items, &format!("{at}[]")));
    fields.get("additionalProperties").into_iter().for_each(|below| structural(below, &format!("{at}{{}}")));
}

#[test]
fn schemas_are_structural_and_every_field_is_described() {
    for definition in definitions() {
        structural(&object_schema(&definition), definition.names.kind);
    }
}

#[test]
fn one_version_is_stored_and_all_are_served() {
    for definition in definitions() {
        let resource = resource("x", &definition);
        let versions = resource["spec"]["versions"].as_array().unwrap();
        assert_eq!(versions.iter().filter(|v| v["storage"] == true).count(), 1);
        assert!(versions.iter().all(|v| v["served"] == true));
        assert_eq!(versions.len(), definition.names.versions.len());
    }
}

#[test]
fn the_operator_may_write_every_definition_and_no_other() {
    let role = fs::read_to_string(workspace::root().join("charts/tombolo/templates/clusterrole.yaml")).unwrap();
    // What a template makes is the name of a webhook.
    let is_definition = |name: &&str| name.contains('.') && !name.contains('{');
    let granted = role.lines().filter_map(|line| line.strip_prefix("      - ").filter(is_definition));
    let names = definitions().into_iter().map(|d| format!("{}.{}", d.names.plural, d.names.group));
    assert_eq!(granted.map(str::to_owned).collect::<std::collections::BTreeSet<_>>(), names.collect());
}
