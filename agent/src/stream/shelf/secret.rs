//! Which resources are private: they are written to memory only.

use crate::stream::wire::Resource;
use bytes::Bytes;
use prost::Message;

/// Private keys come as this type, and what is public besides: whose certificates are accepted.
pub(super) const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// The public part of a `Secret`. All else that it may hold is private: keys, session tickets, tokens.
#[derive(Clone, PartialEq, Message)]
struct Public {
    #[prost(string, tag = "1")]
    name: String,
    /// `CertificateValidationContext`: roots and names. Without it no cluster that speaks mutual TLS starts. It may come in
    /// parts, which protobuf merges.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    validation_context: Vec<Bytes>,
}

/// Whether a resource may hold a private key. What cannot be read may.
pub(super) fn is_private(kind: &str, resource: &Resource) -> bool {
    kind == SECRET && !resource.value().is_some_and(|value| is_public(&value))
}

/// Whether there is a public part, and nothing else: fields that are passed over in decoding are missing from the length.
fn is_public(secret: &Bytes) -> bool {
    let public = Public::decode(secret.clone());
    public.is_ok_and(|public| !public.validation_context.is_empty() && public.encoded_len() == secret.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of a message, with a length before it.
    fn field(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn only_a_validation_context_alone_is_public() {
        let (name, context) = (field(1, b"san|80|a"), field(4, b"roots"));
        let is_public = |fields: &[&[u8]]| is_public(&fields.concat().into());
        assert!(is_public(&[&name, &context]));
        assert!(is_public(&[&context]));
        assert!(is_public(&[&name, &context, &context]), "in parts");
        assert!(!is_public(&[&name]), "nothing is known of what it holds");
        for (tag, what) in [(2, "certificate and key"), (3, "session ticket keys"), (5, "generic"), (9, "unknown")] {
            let private = field(tag, b"key");
            assert!(!is_public(&[&name, &private]), "{what}");
            assert!(!is_public(&[&name, &context, &private]), "{what}");
            assert!(!is_public(&[&private, &name, &context]), "{what}");
        }
        assert!(!is_public(&[&name, &name, &context]), "what nobody writes");
        assert!(!is_public(&[&name, &context[..3]]), "cut short");
    }
}
