//! Messages as people read them: the JSON that Envoy's own files and admin pages hold, field names as its documentation
//! writes them (`connect_timeout`), every `Any` expanded.
//!
//! Secret values print as `[redacted]`. Only what an Envoy is to read is rendered with them: [`to_json_exposed`].

use crate::{
    Resource,
    agent::{self, NameInfo, NameTable},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value as Field,
};
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// The messages that Tombolo emits. `cargo xtask descriptors` makes the file, from a list that says which they are.
static POOL: LazyLock<DescriptorPool> =
    // An empty pool renders every message as base64; a test holds that the file decodes.
    LazyLock::new(|| DescriptorPool::decode(&include_bytes!("descriptors.bin")[..]).unwrap_or_default());

/// Envoy's fields that hold secrets, or the `DataSource` of one: those that it redacts in its own config dump.
const SENSITIVE: [(&str, &str); 5] = [
    ("envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "private_key"),
    ("envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "pkcs12"),
    ("envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "password"),
    ("envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys", "keys"),
    ("envoy.extensions.transport_sockets.tls.v3.GenericSecret", "secret"),
];

/// Whether secret values are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Redact,
    Expose,
}

/// A resource for people: its message, without an `@type`. Secret values are `[redacted]`.
pub fn to_json(resource: &Resource) -> Value {
    message_to_json(resource.kind().url(), &resource.value())
}

/// A resource for an Envoy to read from a file: private keys stand in the clear. Never for logs, terminals or tests' output.
pub fn to_json_exposed(resource: &Resource) -> Value {
    message_to_json_exposed(resource.kind().url(), &resource.value())
}

/// An encoded message of the type that `type_url` names (`type.googleapis.com/envoy…`, or the full name alone), for people.
///
/// A message that is not known here, or bytes that are not of it, render as `{"@type": …, "value": base64}`.
pub fn message_to_json(type_url: &str, bytes: &[u8]) -> Value {
    render_encoded(type_url, bytes, Secrets::Redact).unwrap_or_else(|| opaque(type_url, bytes))
}

/// [`message_to_json`] for an Envoy to read from a file, such as a bootstrap: private keys stand in the clear.
pub fn message_to_json_exposed(type_url: &str, bytes: &[u8]) -> Value {
    render_encoded(type_url, bytes, Secrets::Expose).unwrap_or_else(|| opaque(type_url, bytes))
}

fn render_encoded(type_url: &str, bytes: &[u8], secrets: Secrets) -> Option<Value> {
    match type_url {
        agent::NAME => return NameInfo::decode(bytes).ok().map(|info| render_name(&info)),
        agent::NAME_TABLE => {
            let table = NameTable::decode(bytes).ok()?.table.into_iter();
            return Some(Value::Object(table.map(|(host, info)| (host, render_name(&info))).collect()));
        }
        _ => {}
    }
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    let message = DynamicMessage::decode(POOL.get_message_by_name(name)?, bytes).ok()?;
    Some(render(&message, secrets))
}

/// Not Envoy's message, so not in the file of descriptors.
fn render_name(info: &NameInfo) -> Value {
    let mut fields = Map::new();
    if !info.ips.is_empty() {
        fields.insert("ips".to_owned(), info.ips.iter().map(String::as_str).collect());
    }
    for (name, text) in [("registry", &info.registry), ("shortname", &info.shortname), ("namespace", &info.namespace)] {
        if !text.is_empty() {
            fields.insert(name.to_owned(), text.as_str().into());
        }
    }
    Value::Object(fields)
}

fn opaque(type_url: &str, bytes: &[u8]) -> Value {
    Value::Object(Map::from_iter([
        ("@type".to_owned(), type_url.into()),
        ("value".to_owned(), BASE64.encode(bytes).into()),
    ]))
}

fn render(message: &DynamicMessage, secrets: Secrets) -> Value {
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        "google.protobuf.Any" => render_any(message, secrets),
        // Durations, wrappers, structs: they have a form of their own, and no `Any` inside.
        name if name.starts_with("google.protobuf.") => serde_json::to_value(message).unwrap_or_default(),
        name => {
            let render_field = |(field, value): (FieldDescriptor, &Field)| {
                let hidden = secrets == Secrets::Redact && SENSITIVE.contains(&(name, field.name()));
                let value = if hidden { "[redacted]".into() } else { render_value(value, &field.kind(), secrets) };
                (field.name().to_owned(), value)
            };
            Value::Object(message.fields().map(render_field).collect())
        }
    }
}

/// The packed message with its type beside its fields; a message that has a form of its own stands under `value`.
fn render_any(any: &DynamicMessage, secrets: Secrets) -> Value {
    let (url, bytes) = (any.get_field_by_number(1), any.get_field_by_number(2));
    let url = url.as_deref().and_then(Field::as_str).unwrap_or_default();
    let bytes = bytes.as_deref().and_then(Field::as_bytes).map(|b| &b[..]).unwrap_or_default();
    let own_form = url.rsplit('/').next().is_some_and(|name| name.starts_with("google.protobuf."));
    match render_encoded(url, bytes, secrets) {
        Some(Value::Object(mut fields)) if !own_form => {
            fields.insert("@type".to_owned(), url.into());
            Value::Object(fields)
        }
        Some(value) => Value::Object(Map::from_iter([("@type".to_owned(), url.into()), ("value".to_owned(), value)])),
        None => opaque(url, bytes),
    }
}

/// Scalars as protobuf's JSON mapping has them: 64-bit integers and non-finite numbers as text, bytes as base64.
fn render_value(value: &Field, kind: &Kind, secrets: Secrets) -> Value {
    match value {
        Field::Bool(v) => (*v).into(),
        Field::I32(v) => (*v).into(),
        Field::U32(v) => (*v).into(),
        Field::I64(v) => v.to_string().into(),
        Field::U64(v) => v.to_string().into(),
        Field::F32(v) => float(f64::from(*v)),
        Field::F64(v) => float(*v),
        Field::String(v) => v.as_str().into(),
        Field::Bytes(v) => BASE64.encode(v).into(),
        Field::EnumNumber(number) => enum_value(*number, kind),
        Field::Message(message) => render(message, secrets),
        Field::List(list) => list.iter().map(|item| render_value(item, kind, secrets)).collect(),
        Field::Map(map) => {
            let value_kind = match kind {
                Kind::Message(entry) => entry.map_entry_value_field().kind(),
                other => other.clone(),
            };
            let entry = |(key, value): (&MapKey, &Field)| (map_key(key), render_value(value, &value_kind, secrets));
            Value::Object(map.iter().map(entry).collect())
        }
    }
}

fn float(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or_else(|| non_finite(number).into(), Value::Number)
}

fn non_finite(number: f64) -> &'static str {
    match number {
        n if n.is_nan() => "NaN",
        n if n.is_sign_negative() => "-Infinity",
        _ => "Infinity",
    }
}

/// The value's name; its number where it is newer than the descriptors.
fn enum_value(number: i32, kind: &Kind) -> Value {
    let name = kind.as_enum().and_then(|e| e.get_value(number)).map(|v| v.name().to_owned());
    name.map_or_else(|| number.into(), Value::String)
}

fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(k) => k.to_string(),
        MapKey::I32(k) => k.to_string(),
        MapKey::I64(k) => k.to_string(),
        MapKey::U32(k) => k.to_string(),
        MapKey::U64(k) => k.to_string(),
        MapKey::String(k) => k.clone(),
    }
}

#[cfg(test)]
mod tests;
