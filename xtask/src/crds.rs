//! The CustomResourceDefinitions of our kind, and of Istio's that we read: made from the types that read them.

mod structural;

use crate::generated::Generated;
use anyhow::Result;
use schemars::JsonSchema;
use serde_json::{Value, json};
use tombolo_api::{
    Kind,
    istio::{ServiceEntry, WorkloadEntry, WorkloadGroup},
    mesh::{
        self, MeshInstallation, MeshInstallationStatus, MeshRevision, MeshRevisionStatus, MeshRevisionTag,
        MeshRevisionTagStatus,
    },
};

/// Which version of Tombolo a definition is of: the operator puts a newer one in an older one's place.
const VERSION_ANNOTATION: &str = "mesh.tombolo.dev/crd-version";

/// What `kubectl get` shows: name, type, path.
type Column = (&'static str, &'static str, &'static str);

/// How a kind is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Names {
    kind: &'static str,
    plural: &'static str,
    group: &'static str,
    versions: &'static [&'static str],
    namespaced: bool,
}

impl From<Kind> for Names {
    fn from(kind: Kind) -> Self {
        let (versions, namespaced) = (kind.versions(), kind.namespaced());
        Self { kind: kind.name(), plural: kind.plural(), group: kind.group(), versions, namespaced }
    }
}

/// A kind of the operator's own, which no control plane reads.
const fn operators(kind: &'static str, plural: &'static str) -> Names {
    Names { kind, plural, group: mesh::GROUP, versions: &["v1alpha1"], namespaced: false }
}

/// A kind's definition.
struct Definition {
    names: Names,
    short_name: &'static str,
    categories: &'static [&'static str],
    columns: &'static [Column],
    /// A rule for the whole object, and what is said where it is broken.
    rule: Option<(&'static str, &'static str)>,
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
const READY: Column = ("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status");
const INSTALLATION_COLUMNS: &[Column] = &[
    ("Version", "string", ".status.revisions[0].version"),
    ("Revision", "string", ".status.activeRevision"),
    READY,
    ("Status", "string", ".status.conditions[?(@.type==\"Ready\")].message"),
    AGE,
];
const REVISION_COLUMNS: &[Column] = &[
    ("Version", "string", ".status.servingVersion"),
    READY,
    ("In use", "string", ".status.conditions[?(@.type==\"InUse\")].status"),
    ("Replicas", "string", ".status.readyReplicas"),
    ("Status", "string", ".status.conditions[?(@.type==\"Ready\")].message"),
    AGE,
];
const TAG_COLUMNS: &[Column] = &[("Revision", "string", ".status.revision"), READY, AGE];
/// Names of Services are built of these names, and have 63 characters at most.
const INSTALLATION_NAME: (&str, &str) = (
    "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$')",
    "the name has lower case letters, digits and inner hyphens, at most 32",
);
const REVISION_NAME: (&str, &str) = (
    "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,43}[a-z0-9])?$')",
    "the name has lower case letters, digits and inner hyphens, at most 45",
);
const ISTIO_CATEGORIES: &[&str] = &["istio-io", "networking-istio-io"];

fn definitions() -> Vec<Definition> {
    let istio = |kind: Kind, short_name, columns, spec| Definition {
        names: kind.into(),
        short_name,
        categories: ISTIO_CATEGORIES,
        columns,
        rule: None,
        spec,
        spec_required: true,
        status: istio_status(),
    };
    let mut definitions = own();
    definitions.extend([
        istio(Kind::ServiceEntry, "se", SERVICE_ENTRY_COLUMNS, schema::<ServiceEntry>()),
        istio(
            Kind::WorkloadEntry,
            "we",
            WORKLOAD_ENTRY_COLUMNS,
            structural::with_rule(
                schema::<WorkloadEntry>(),
                "(has(self.address) && self.address != '') || (has(self.network) && self.network != '')",
                "address is needed where network is not set",
            ),
        ),
        istio(Kind::WorkloadGroup, "wg", &[AGE], schema::<WorkloadGroup>()),
    ]);
    definitions
}

fn own() -> Vec<Definition> {
    let own = |names, short_name, columns, rule, spec, status| Definition {
        names,
        short_name,
        categories: &["tombolo"],
        columns,
        rule: Some(rule),
        spec,
        spec_required: false,
        status,
    };
    vec![
        own(
            Kind::MeshInstallation.into(),
            "mesh",
            INSTALLATION_COLUMNS,
            INSTALLATION_NAME,
            schema::<MeshInstallation>(),
            schema::<MeshInstallationStatus>(),
        ),
        Definition {
            spec_required: true,
            ..own(
                operators("MeshRevision", "meshrevisions"),
                "mrev",
                REVISION_COLUMNS,
                REVISION_NAME,
                schema::<MeshRevision>(),
                schema::<MeshRevisionStatus>(),
            )
        },
        Definition {
            spec_required: true,
            ..own(
                operators("MeshRevisionTag", "meshrevisiontags"),
                "mtag",
                TAG_COLUMNS,
                REVISION_NAME,
                schema::<MeshRevisionTag>(),
                schema::<MeshRevisionTagStatus>(),
            )
        },
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

/// `crds/<plural>.<group>.yaml` for every kind, as they should be, and their copies in the chart: Helm packs nothing from outside
/// of its directory.
pub(crate) fn files() -> Result<Vec<Generated>> {
    let files = definitions().iter().map(file).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().flatten().collect())
}

fn file(definition: &Definition) -> Result<[Generated; 2]> {
    let name = format!("{}.{}", definition.names.plural, definition.names.group);
    let yaml = serde_saphyr::to_string(&resource(&name, definition))?;
    let content = format!("# Made by `cargo xtask crds` from the types of crates/api.\n{yaml}").into_bytes();
    Ok(["crds", "charts/tombolo/crds"].map(|directory| Generated {
        path: format!("{directory}/{name}.yaml").into(),
        content: content.clone(),
        command: "cargo xtask crds",
    }))
}

fn resource(name: &str, definition: &Definition) -> Value {
    let names = definition.names;
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "annotations": {VERSION_ANNOTATION: env!("CARGO_PKG_VERSION")}},
        "spec": {
            "group": names.group,
            "names": {
                "kind": names.kind,
                "listKind": format!("{}List", names.kind),
                "plural": names.plural,
                "singular": names.kind.to_lowercase(),
                "shortNames": [definition.short_name],
                "categories": definition.categories,
            },
            "scope": if names.namespaced { "Namespaced" } else { "Cluster" },
            "versions": names.versions.iter().map(|version| self::version(version, definition)).collect::<Vec<_>>(),
        },
    })
}

/// All versions are served with one schema; the preferred one is stored.
fn version(name: &str, definition: &Definition) -> Value {
    let column = |(name, r#type, path): &Column| json!({"name": name, "type": r#type, "jsonPath": path});
    json!({
        "name": name,
        "served": true,
        "storage": name == definition.names.versions[0],
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
    if let Some((rule, message)) = definition.rule {
        schema = structural::with_rule(schema, rule, message);
    }
    schema
}

#[cfg(test)]
mod tests;
