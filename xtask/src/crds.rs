//! The CustomResourceDefinitions of our kind, and of Istio's that we read: made from the types that read them.

mod structural;

use crate::generated::Generated;
use anyhow::Result;
use schemars::JsonSchema;
use serde_json::{Value, json};
use tombolo_api::{
    Kind,
    istio::{ServiceEntry, WorkloadEntry, WorkloadGroup},
    mesh::{MeshInstallation, MeshInstallationStatus},
};

/// What `kubectl get` shows: name, type, path.
type Column = (&'static str, &'static str, &'static str);

/// A kind's definition but for what [`Kind`] knows.
struct Definition {
    kind: Kind,
    short_name: &'static str,
    categories: &'static [&'static str],
    columns: &'static [Column],
    spec: Value,
    spec_required: bool,
    status: Value,
}

const AGE: Column = ("Age", "date", ".metadata.creationTimestamp");
const SERVICE_ENTRY_COLUMNS: &[Column] = &[
    ("Hosts", "string", ".spec.hosts"),
    ("Location", "string", ".spec.location"),
    ("Resolution", "string", ".spec.resolution"),
    AGE,
];
const WORKLOAD_ENTRY_COLUMNS: &[Column] = &[AGE, ("Address", "string", ".spec.address")];
const ISTIO_CATEGORIES: &[&str] = &["istio-io", "networking-istio-io"];

fn definitions() -> Vec<Definition> {
    let istio = |kind, short_name, columns, spec| Definition {
        kind,
        short_name,
        categories: ISTIO_CATEGORIES,
        columns,
        spec,
        spec_required: true,
        status: istio_status(),
    };
    vec![
        Definition {
            kind: Kind::MeshInstallation,
            short_name: "mesh",
            categories: &["tombolo"],
            columns: &[
                ("Version", "string", ".spec.version"),
                ("Revision", "string", ".status.activeRevision"),
                ("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
                ("Status", "string", ".status.conditions[?(@.type==\"Progressing\")].message"),
                AGE,
            ],
            spec: schema::<MeshInstallation>(),
            spec_required: false,
            status: schema::<MeshInstallationStatus>(),
        },
        istio(Kind::ServiceEntry, "se", SERVICE_ENTRY_COLUMNS, schema::<ServiceEntry>()),
        istio(
            Kind::WorkloadEntry,
            "we",
            WORKLOAD_ENTRY_COLUMNS,
            structural::with_rule(
                schema::<WorkloadEntry>(),
                "has(self.address) || has(self.network)",
                "address is needed where network is not set",
            ),
        ),
        istio(Kind::WorkloadGroup, "wg", &[AGE], schema::<WorkloadGroup>()),
    ]
}

/// The schema of a type, as Kubernetes takes it.
fn schema<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    structural::rewrite(settings.into_generator().into_root_schema_for::<T>().to_value())
}

/// Istio's status: conditions, and whatever else its controllers or ours write.
fn istio_status() -> Value {
    json!({
        "type": "object",
        "description": "What controllers report.",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// `crds/<plural>.<group>.yaml` for every kind, as they should be.
pub(crate) fn files() -> Result<Vec<Generated>> {
    definitions().into_iter().map(|definition| file(&definition)).collect()
}

fn file(definition: &Definition) -> Result<Generated> {
    let name = format!("{}.{}", definition.kind.plural(), definition.kind.group());
    let yaml = serde_saphyr::to_string(&resource(&name, definition))?;
    Ok(Generated {
        path: format!("crds/{name}.yaml").into(),
        content: format!("# Made by `cargo xtask crds` from the types of crates/api.\n{yaml}").into_bytes(),
        command: "cargo xtask crds",
    })
}

fn resource(name: &str, definition: &Definition) -> Value {
    let kind = definition.kind;
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": kind.group(),
            "names": {
                "kind": kind.name(),
                "listKind": format!("{}List", kind.name()),
                "plural": kind.plural(),
                "singular": kind.name().to_lowercase(),
                "shortNames": [definition.short_name],
                "categories": definition.categories,
            },
            "scope": if kind.namespaced() { "Namespaced" } else { "Cluster" },
            "versions": kind.versions().iter().map(|version| self::version(version, definition)).collect::<Vec<_>>(),
        },
    })
}

/// All versions are served with one schema; the preferred one is stored.
fn version(name: &str, definition: &Definition) -> Value {
    let column = |(name, r#type, path): &Column| json!({"name": name, "type": r#type, "jsonPath": path});
    json!({
        "name": name,
        "served": true,
        "storage": name == definition.kind.versions()[0],
        "additionalPrinterColumns": definition.columns.iter().map(column).collect::<Vec<_>>(),
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": object_schema(definition)},
    })
}

fn object_schema(definition: &Definition) -> Value {
    let mut schema = json!({
        "type": "object",
        "properties": {"spec": definition.spec, "status": definition.status},
    });
    if definition.spec_required {
        schema["required"] = json!(["spec"]);
    }
    schema
}

#[cfg(test)]
mod tests;
