//! Values to types, strictly: an unknown field is found with its path and its likely spelling, a mistyped one with what was
//! expected and what is there.
//!
//! A deserializer of our own, because only here are the value, the path and the struct's list of fields known together.

use super::{
    nearest::nearest,
    wording::{self, shorten},
};
use crate::Report;
use serde::de::{self, DeserializeOwned, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_json::{Map, Value, map};
use std::{cell::RefCell, fmt, slice};
use tombolo_core::FieldPath;

/// Of an object's unknown fields, at most this many are told.
const MOST_UNKNOWN: usize = 32;

/// A field that its type does not have.
#[derive(Debug)]
pub(crate) struct Unknown {
    /// Where it stands.
    pub(crate) path: FieldPath,
    /// What it was probably meant to be.
    pub(crate) nearest: Option<&'static str>,
}

impl Unknown {
    /// A top-level field of a kind whose fields stand under `spec`.
    pub(crate) fn beside_spec(key: &str) -> Self {
        Self { path: FieldPath::root().key(&shorten(key)), nearest: nearest(key, ["metadata", "spec", "status"]) }
    }
}

/// Why a value is not of its type.
#[derive(Debug, Default)]
pub(crate) struct Mistyped {
    path: Option<FieldPath>,
    /// A missing field's name, below `path`.
    missing: Option<&'static str>,
    message: String,
    fix: String,
}

impl Mistyped {
    /// Tells a report.
    pub(crate) fn tell(self, report: &mut Report) {
        let path = self.path.unwrap_or_default();
        let (field, reason) = match self.missing {
            Some(field) => (path.key(field), "Required"),
            None => (path, "InvalidValue"),
        };
        report.error(field, reason, self.message, self.fix);
    }

    /// Keeps the innermost path: the first that is told.
    fn at(mut self, path: &Path<'_>) -> Self {
        self.path.get_or_insert_with(|| path.print());
        self
    }
}

/// Reads a type; unknown fields are passed over and returned. A null is an absent field, as for the API server.
pub(crate) fn read<T: DeserializeOwned>(value: &Value, at: &FieldPath) -> (Result<T, Mistyped>, Vec<Unknown>) {
    let unknown = RefCell::default();
    let path = Path::Root(at);
    let node = Node { value, path: &path, unknown: &unknown };
    let result = T::deserialize(node).map_err(|e| e.at(&path));
    (result, unknown.into_inner())
}

/// Where a value stands; a chain on the stack, printed only when something is wrong.
enum Path<'p> {
    Root(&'p FieldPath),
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    fn print(&self) -> FieldPath {
        match self {
            Self::Root(path) => (*path).clone(),
            Self::Key(parent, key) => parent.print().key(key),
            Self::Index(parent, i) => parent.print().index(*i),
        }
    }
}

#[derive(Clone, Copy)]
struct Node<'de, 'p> {
    value: &'de Value,
    path: &'p Path<'p>,
    unknown: &'p RefCell<Vec<Unknown>>,
}

impl<'de, 'p> Node<'de, 'p> {
    fn visit_object<V: Visitor<'de>>(
        self,
        object: &'de Map<String, Value>,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Mistyped> {
        visitor.visit_map(Entries { node: self, left: object.iter(), fields, next: None })
    }

    fn pass_over(&self, key: &str, fields: &'static [&'static str]) {
        let mut unknown = self.unknown.borrow_mut();
        if unknown.len() < MOST_UNKNOWN {
            let nearest = nearest(key, fields.iter().copied());
            unknown.push(Unknown { path: Path::Key(self.path, &shorten(key)).print(), nearest });
        }
    }
}

impl<'de> de::Deserializer<'de> for Node<'de, '_> {
    type Error = Mistyped;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        let result = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => match (n.as_u64(), n.as_i64()) {
                (Some(n), _) => visitor.visit_u64(n),
                (None, Some(n)) => visitor.visit_i64(n),
                (None, None) => visitor.visit_f64(n.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(s) => visitor.visit_borrowed_str(s),
            Value::Array(list) => visitor.visit_seq(Elements { node: self, left: list.iter(), next: 0 }),
            Value::Object(object) => self.visit_object(object, None, visitor),
        };
        result.map_err(|e| e.at(self.path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mistyped> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistyped> {
        match self.value {
            Value::Object(object) => self.visit_object(object, Some(fields), visitor).map_err(|e| e.at(self.path)),
            // Derived visitors would take a list for the fields in their order.
            Value::Array(_) => Err(de::Error::invalid_type(de::Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistyped> {
        let result = match self.value {
            Value::String(name) => visitor.visit_enum(de::value::BorrowedStrDeserializer::new(name)),
            Value::Object(object) if object.len() == 1 => match object.iter().next() {
                Some((name, value)) => visitor.visit_enum(Variant { name, node: Node { value, ..self } }),
                None => self.deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        };
        result.map_err(|e| e.at(self.path))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier
    }
}

struct Elements<'de, 'p> {
    node: Node<'de, 'p>,
    left: slice::Iter<'de, Value>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de, '_> {
    type Error = Mistyped;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistyped> {
        let Some(value) = self.left.next() else { return Ok(None) };
        let path = Path::Index(self.node.path, self.next);
        self.next += 1;
        seed.deserialize(Node { value, path: &path, unknown: self.node.unknown }).map(Some).map_err(|e| e.at(&path))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

struct Entries<'de, 'p> {
    node: Node<'de, 'p>,
    left: map::Iter<'de>,
    /// The only keys there are; any where `None`.
    fields: Option<&'static [&'static str]>,
    next: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Mistyped;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistyped> {
        for (key, value) in self.left.by_ref() {
            if let Some(fields) = self.fields.filter(|fields| !fields.contains(&key.as_str())) {
                self.node.pass_over(key, fields);
            } else if !value.is_null() {
                self.next = Some((key, value));
                let key = de::value::BorrowedStrDeserializer::new(key);
                return seed.deserialize(key).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistyped> {
        let (key, value) = self.next.take().unwrap_or(("", &Value::Null));
        let path = Path::Key(self.node.path, key);
        seed.deserialize(Node { value, path: &path, unknown: self.node.unknown }).map_err(|e| e.at(&path))
    }
}

/// `{variant: content}`
struct Variant<'de, 'p> {
    name: &'de str,
    node: Node<'de, 'p>,
}

impl<'de, 'p> EnumAccess<'de> for Variant<'de, 'p> {
    type Error = Mistyped;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Mistyped> {
        seed.deserialize(de::value::BorrowedStrDeserializer::new(self.name)).map(|name| (name, self))
    }
}

impl<'de> Variant<'de, '_> {
    fn inside<T>(self, read: impl FnOnce(Node<'de, '_>) -> Result<T, Mistyped>) -> Result<T, Mistyped> {
        let path = Path::Key(self.node.path, self.name);
        read(Node { path: &path, ..self.node }).map_err(|e| e.at(&path))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de, '_> {
    type Error = Mistyped;

    fn unit_variant(self) -> Result<(), Mistyped> {
        self.inside(|node| <() as de::Deserialize>::deserialize(node))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mistyped> {
        self.inside(|node| seed.deserialize(node))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mistyped> {
        self.inside(|node| de::Deserializer::deserialize_any(node, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistyped> {
        self.inside(|node| de::Deserializer::deserialize_struct(node, "", fields, visitor))
    }
}

impl de::Error for Mistyped {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let (message, fix) = wording::split_fix(&message.to_string());
        Self { message, fix, ..Self::default() }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let (message, fix) = wording::wrong_type(&found, &expected.to_string());
        Self { message, fix, ..Self::default() }
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let (message, fix) = wording::wrong_value(&found, &expected.to_string());
        Self { message, fix, ..Self::default() }
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self { message: format!("{length} elements, expected {expected}"), ..Self::default() }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let (message, fix) = wording::unknown_word(variant, expected);
        Self { message, fix, ..Self::default() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), message: "required, but missing".into(), fix: format!("add {field}"), path: None }
    }
}

impl fmt::Display for Mistyped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistyped {}
