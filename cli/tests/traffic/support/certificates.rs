//! Certificates for listeners, and a client that trusts exactly those.

use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// A certificate, and the Secret that holds it.
pub(crate) struct Certificate {
    /// A manifest.
    pub(crate) secret: String,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Certificate {
    /// One for these names, in a Secret of this namespace and name.
    pub(crate) fn new(namespace: &str, name: &str, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let indent = |pem: &str| pem.replace('\n', "\n    ");
        let (chain, key) = (indent(&made.cert.pem()), indent(&made.signing_key.serialize_pem()));
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: kubernetes.io/tls\n\
             stringData:\n  tls.crt: |\n    {chain}\n  tls.key: |\n    {key}\n"
        );
        Self { secret, der: made.cert.der().clone() }
    }
}

/// A client that trusts these certificates, each for its own names alone.
pub(crate) fn trusting(certificates: &[&Certificate]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.der.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(versions.with_root_certificates(roots).with_no_client_auth())
}
