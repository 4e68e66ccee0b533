//! A small certificate authority.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use std::time::SystemTime;

/// A root that signs itself.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let root = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// In PEM.
    #[allow(dead_code, reason = "unit tests get it with their certificates")]
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The answer to a request, for whomever it is said to be for: the leaf, then the root.
    pub(crate) fn issue(&self, csr: &str, id: &str, since: SystemTime, until: SystemTime) -> Vec<String> {
        let mut request = CertificateSigningRequestParams::from_pem(csr).unwrap();
        request.params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        request.params.not_before = since.into();
        request.params.not_after = until.into();
        request.params.distinguished_name = DistinguishedName::new();
        request.params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        vec![request.signed_by(&self.issuer).unwrap().pem(), self.root.clone()]
    }

    /// A certificate for a server, and its key, in PEM.
    #[allow(dead_code, reason = "unit tests have no server")]
    pub(crate) fn server(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}
