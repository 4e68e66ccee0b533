//! An object as the API server hands it over: what watching needs of it, and the rest unread.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::ApiResource};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::{borrow::Cow, net::Ipv4Addr};
use tombolo_api::Kind;
use tombolo_core::{Host, NamespacedName};

/// An object of any kind. Who wrote which of its fields is dropped while it is read: it is often the greater part.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Name, namespace and version alone.
    metadata: ObjectMeta,
    body: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut body = Map::deserialize(deserializer)?;
        let mut metadata = ObjectMeta::default();
        if let Some(written) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            written.remove("managedFields");
            let text = |name: &str| written.get(name).and_then(Value::as_str).map(str::to_owned);
            metadata.name = text("name");
            metadata.namespace = text("namespace");
            metadata.resource_version = text("resourceVersion");
            let annotations = written.get("annotations").and_then(Value::as_object);
            // The bookmark that ends a streaming list is known by its annotation.
            metadata.annotations = annotations.map(|all| {
                all.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
            });
        }
        Ok(Self { metadata, body })
    }
}

impl Stored {
    /// Namespace and name.
    pub(super) fn name(&self) -> NamespacedName {
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
        NamespacedName { namespace: text(&self.metadata.namespace), name: text(&self.metadata.name) }
    }

    /// The version that the API server gave it.
    pub(super) fn version(&self) -> &str {
        self.metadata.resource_version.as_deref().unwrap_or_default()
    }

    /// The addresses that a ServiceEntry's status says its hosts were given.
    pub(super) fn allocated(&self) -> impl Iterator<Item = (Host, Ipv4Addr)> {
        let stated = self.body.get("status").and_then(|status| status.get("addresses")).and_then(Value::as_array);
        stated.into_iter().flatten().filter_map(|one| {
            let text = |field: &str| one.get(field).and_then(Value::as_str);
            Some((Host::parse(text("host")?).ok()?, text("value")?.parse().ok()?))
        })
    }

    /// Takes its status out.
    pub(super) fn take_status(&mut self) -> Value {
        self.body.remove("status").unwrap_or_default()
    }

    /// The whole document. Items of lists do not say what they are, so it is said here.
    pub(super) fn into_document(mut self, kind: Kind) -> Value {
        self.body.insert("apiVersion".to_owned(), kind.api_version().into());
        self.body.insert("kind".to_owned(), kind.name().into());
        Value::Object(self.body)
    }
}

impl Resource for Stored {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        of.kind.as_str().into()
    }

    fn group(of: &ApiResource) -> Cow<'_, str> {
        of.group.as_str().into()
    }

    fn version(of: &ApiResource) -> Cow<'_, str> {
        of.version.as_str().into()
    }

    fn plural(of: &ApiResource) -> Cow<'_, str> {
        of.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// How a kind is asked for, in one of its versions.
pub(crate) fn resource(kind: Kind, version: &str) -> ApiResource {
    let api_version = if kind.group().is_empty() { version.to_owned() } else { format!("{}/{version}", kind.group()) };
    ApiResource {
        group: kind.group().to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.name().to_owned(),
        plural: kind.plural().to_owned(),
    }
}
