//! The two secrets, as Envoy reads them.

use crate::identity::Material;
use prost::{Message, Name};
use tombolo_proto::{
    bootstrap::{OWN_CERTIFICATE, ROOTS},
    envoy::{
        envoy::{
            config::core::v3::{DataSource, data_source::Specifier},
            extensions::transport_sockets::tls::v3::{
                CertificateValidationContext, Secret, TlsCertificate, secret::Type,
            },
        },
        google::protobuf::Any,
    },
};
use xxhash_rust::xxh3::xxh3_64;

/// The names that are served.
pub(super) const NAMES: [&str; 2] = [OWN_CERTIFICATE, ROOTS];

/// The type that is served.
pub(super) fn type_url() -> String {
    Secret::type_url()
}

/// A secret as it is sent.
#[derive(Clone)]
pub(super) struct Encoded {
    pub(super) name: &'static str,
    pub(super) version: String,
    pub(super) body: Any,
}

/// Both secrets of an identity.
pub(super) fn of(material: &Material) -> [Encoded; 2] {
    let certificate = TlsCertificate {
        certificate_chain: inline(material.chain()),
        private_key: inline(material.key().pem()),
        ..TlsCertificate::default()
    };
    let roots = CertificateValidationContext {
        trusted_ca: inline(material.roots()),
        ..CertificateValidationContext::default()
    };
    [encode(OWN_CERTIFICATE, Type::TlsCertificate(certificate)), encode(ROOTS, Type::ValidationContext(roots))]
}

fn encode(name: &'static str, kind: Type) -> Encoded {
    let value = Secret { name: name.to_owned(), r#type: Some(kind) }.encode_to_vec();
    Encoded { name, version: format!("{:016x}", xxh3_64(&value)), body: Any { type_url: type_url(), value } }
}

fn inline(text: &str) -> Option<DataSource> {
    let specifier = Some(Specifier::InlineBytes(text.as_bytes().to_vec()));
    Some(DataSource { specifier, ..DataSource::default() })
}
