//! Fields that an API has and that nothing here reads: accepted, whatever they hold, and dropped.
//!
//! They are named one by one, so that a field that no API has is still found: it is a spelling mistake.

use serde::{
    Deserializer,
    de::{DeserializeSeed, IntoDeserializer as _, MapAccess, Visitor, value::StringDeserializer},
    forward_to_deserialize_any,
};
use serde_json::Value;
use std::{fmt, marker::PhantomData, sync::OnceLock};

/// Makes a type whose `Deserialize` is derived for `remote = "Self"` drop the named fields.
macro_rules! drop_unread {
    ($type:ty: $($field:literal)+) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                static ALL: std::sync::OnceLock<Vec<&'static str>> = std::sync::OnceLock::new();
                // The inherent function that the derive makes, not this one.
                <$type>::deserialize($crate::kubernetes::unread::Without::new(d, &[$($field),+], &ALL))
            }
        }
    };
}
pub(super) use drop_unread;

/// A deserializer of a struct that hides some of the input's fields.
pub(super) struct Without<D> {
    inner: D,
    fields: &'static [&'static str],
    /// These and the struct's own: all that the input may have.
    all: &'static OnceLock<Vec<&'static str>>,
}

impl<D> Without<D> {
    pub(super) fn new(inner: D, fields: &'static [&'static str], all: &'static OnceLock<Vec<&'static str>>) -> Self {
        Self { inner, fields, all }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Without<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Hiding { inner: visitor, fields: self.fields })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        own: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let all = self.all.get_or_init(|| own.iter().chain(self.fields).copied().collect());
        self.inner.deserialize_struct(name, all, Hiding { inner: visitor, fields: self.fields })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A visitor, or the access to a mapping, that does not see some fields.
struct Hiding<T> {
    inner: T,
    fields: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Hiding<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Hiding { inner: map, fields: self.fields })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Hiding<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.inner.next_key_seed(PhantomData::<String>)? {
            if self.fields.contains(&key.as_str()) {
                // Read, not skipped: what is skipped counts as unknown.
                self.inner.next_value::<Value>()?;
            } else {
                let key: StringDeserializer<A::Error> = key.into_deserializer();
                return seed.deserialize(key).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}
