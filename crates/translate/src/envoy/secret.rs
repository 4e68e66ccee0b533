//! Certificates, as proxies fetch them.

use tombolo_api::kubernetes::Bytes;
use tombolo_proto::{
    Ref, Resource, ResourceType,
    envoy::envoy::{
        config::core::v3::{DataSource, data_source},
        extensions::transport_sockets::tls::v3::{Secret, TlsCertificate, secret},
    },
};

/// A certificate chain and its private key, both PEM, under the name by which listeners ask for them
/// ([`crate::names::secret`]). A [`Resource`] prints neither.
pub(crate) fn secret(name: &str, chain: &Bytes, private_key: &Bytes) -> Resource {
    let certificate = TlsCertificate {
        certificate_chain: Some(inline(chain)),
        private_key: Some(inline(private_key)),
        ..Default::default()
    };
    let message = Secret { name: name.to_owned(), r#type: Some(secret::Type::TlsCertificate(certificate)) };
    Resource::encode(ResourceType::Secret, name, &message, Vec::<Ref>::new())
}

fn inline(bytes: &Bytes) -> DataSource {
    DataSource { specifier: Some(data_source::Specifier::InlineBytes(bytes.expose().to_vec())), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_key_is_sent_and_never_printed() {
        let pem = |text: &str| Bytes::new(text.as_bytes().to_vec());
        let resource = secret("kubernetes://shop/tls", &pem("CHAIN"), &pem("KEY-MATERIAL"));
        assert!(resource.value().windows(12).any(|bytes| bytes == b"KEY-MATERIAL"));
        assert!(!format!("{resource:?}").contains("KEY-MATERIAL"));
    }
}
