//! Envoy's messages with maps in order.
//!
//! The generated messages hold hash maps, which would encode in another order each time: a new version of the resource at every
//! rebuild. These have the same fields under the same numbers.

use std::collections::BTreeMap;

/// `envoy.config.core.v3.Metadata`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Metadata {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) filter_metadata: BTreeMap<String, Struct>,
}

/// `google.protobuf.Struct`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) fields: BTreeMap<String, Value>,
}

/// `google.protobuf.Value`, of which texts are all that is needed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(string, optional, tag = "3")]
    pub(super) string: Option<String>,
}

impl Struct {
    /// A record of one field.
    pub(super) fn one(key: &str, text: impl Into<String>) -> Self {
        Self { fields: BTreeMap::from([(key.to_owned(), Value { string: Some(text.into()) })]) }
    }
}
