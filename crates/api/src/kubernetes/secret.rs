//! Secret: read for TLS certificates and keys.

use super::check;
use crate::{Object, Report, Spec};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, sync::Arc};
use tombolo_core::FieldPath;

/// Bytes that never print.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes(Arc<[u8]>);

impl Bytes {
    /// Takes the bytes in.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes. Whoever asks must not print them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The type of Secrets that hold a certificate and its key.
pub const TLS_SECRET: &str = "kubernetes.io/tls";
/// Key of the data that holds a certificate and those that signed it, in PEM, the leaf first.
pub const TLS_CERT_KEY: &str = "tls.crt";
/// Key of the data that holds the private key, in PEM.
pub const TLS_PRIVATE_KEY_KEY: &str = "tls.key";

/// A Secret's values.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "flat::Secret")]
pub struct Secret {
    /// `kubernetes.io/tls` for certificates; `Opaque` where absent.
    pub kind: Arc<str>,
    /// By key, decoded; `tls.crt` and `tls.key` for certificates.
    pub data: BTreeMap<Arc<str>, Bytes>,
}

impl Spec for Secret {
    const FLAT: bool = true;
    fn validate(object: &Object<Self>, report: &mut Report) {
        let field = FieldPath::from("data");
        check::data(report, &field, object.data.iter().map(|(key, value)| (&**key, value.expose().len())));
        let needed = [TLS_CERT_KEY, TLS_PRIVATE_KEY_KEY].into_iter().filter(|_| &*object.kind == TLS_SECRET);
        for key in needed.filter(|key| !object.data.contains_key(*key)) {
            let message = format!("a Secret of type {TLS_SECRET} needs {key}");
            report.error(field.key(key), "Required", message, format!("add {key}, in PEM"));
        }
    }
}

mod flat {
    use super::{Arc, BTreeMap, Bytes, Deserialize};
    use crate::kubernetes::unread::drop_unread;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default, remote = "Self")]
    #[derive(Default)]
    pub(super) struct Secret {
        #[serde(rename = "type")]
        kind: Arc<str>,
        data: BTreeMap<Arc<str>, Base64>,
        string_data: BTreeMap<Arc<str>, String>,
    }

    drop_unread! { Secret: "immutable" }

    pub(super) struct Base64(Bytes);

    impl<'de> Deserialize<'de> for Base64 {
        fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            use serde::de::Error as _;
            let text: String = String::deserialize(d)?.split_ascii_whitespace().collect();
            STANDARD
                .decode(text)
                .map(|b| Self(Bytes::new(b)))
                .map_err(|_| D::Error::custom("not base64; use stringData for plain text"))
        }
    }

    impl From<Secret> for super::Secret {
        fn from(flat: Secret) -> Self {
            let mut data: BTreeMap<_, _> = flat.data.into_iter().map(|(k, v)| (k, v.0)).collect();
            // As the API server does: stringData wins.
            data.extend(flat.string_data.into_iter().map(|(k, v)| (k, Bytes::new(v.into_bytes()))));
            Self { kind: if flat.kind.is_empty() { "Opaque".into() } else { flat.kind }, data }
        }
    }
}
