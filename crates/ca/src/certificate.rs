//! Reading certificates: which workload and which instance one is of, and when it counts.
//!
//! # The instance id
//! Certificates of this mesh say which instance they were issued to, so that one instance can be revoked, and its certificates
//! renewed without its token. It stands in a private extension that is never critical, so that others pass over it:
//!
//! - OID `1.2.840.113556.1.8000.2554.20899.28333.32659.18893.43399.8238595.5747954`: the arc that Microsoft keeps for OIDs made of a
//!   UUID, here `51a36ead-7f93-49cd-a987-7db60357b4f2`. (The shorter way, `2.25.UUID`, needs an arc of 128 bits, which common
//!   libraries cannot write.)
//! - Value: an ASN.1 `UTF8String`, which is an [`InstanceId`].

use crate::{SignerError, moment};
use rcgen::CustomExtension;
use rustls_pki_types::CertificateDer;
use std::time::SystemTime;
use tombolo_core::{InstanceId, SpiffeId};
use x509_parser::{
    asn1_rs::{FromDer as _, Oid, ToDer as _, Utf8String, oid},
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
};

/// The extension that holds the instance id; see the module's text.
pub const INSTANCE_ID_OID: &[u64] =
    &[1, 2, 840, 113_556, 1, 8000, 2554, 20899, 28333, 32659, 18893, 43399, 8_238_595, 5_747_954];
const INSTANCE_ID: Oid<'static> = oid!(1.2.840.113556.1.8000.2554.20899.28333.32659.18893.43399.8238595.5747954);

/// Why a certificate is not one of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a certificate.
    #[error("it is not an X.509 certificate")]
    Garbage,
    /// SPIFFE's X.509-SVID, section 2: one URI, no more.
    #[error("it must have exactly one URI among its names")]
    Names,
    /// The URI is no identity.
    #[error("its URI is not spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT")]
    Identity,
    /// The extension does not hold an instance id.
    #[error("its instance id cannot be read")]
    Instance,
    /// It may sign others.
    #[error("it is one of a certificate authority")]
    Authority,
}

/// What a workload's certificate says. Whether it is true is for [`TrustBundle::verify`](crate::TrustBundle::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadCertificate {
    /// Whose it is.
    pub id: SpiffeId,
    /// Of which instance.
    pub instance: Option<InstanceId>,
    /// Valid from, in seconds since the epoch.
    pub(crate) not_before: i64,
    /// Valid until, in seconds since the epoch.
    pub(crate) not_after: i64,
    /// The serial number in hexadecimal.
    pub serial: String,
}

impl WorkloadCertificate {
    /// Reads one from DER.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Garbage)?;
        if !rest.is_empty() {
            return Err(CertificateError::Garbage);
        }
        if certificate.is_ca() {
            return Err(CertificateError::Authority);
        }
        let id = sole_uri(&certificate)?.parse().map_err(|_| CertificateError::Identity)?;
        let validity = certificate.validity();
        Ok(Self {
            id,
            instance: instance(&certificate)?,
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            serial: hex(certificate.raw_serial()),
        })
    }

    /// When it is over.
    pub fn expires(&self) -> SystemTime {
        moment::system(self.not_after)
    }
}

fn sole_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, CertificateError> {
    let names =
        certificate.subject_alternative_name().map_err(|_| CertificateError::Names)?.ok_or(CertificateError::Names)?;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri),
        _ => Err(CertificateError::Names),
    }
}

fn instance(certificate: &X509Certificate<'_>) -> Result<Option<InstanceId>, CertificateError> {
    let extension = certificate.get_extension_unique(&INSTANCE_ID).map_err(|_| CertificateError::Instance)?;
    let Some(extension) = extension else { return Ok(None) };
    let (rest, text) = Utf8String::from_der(extension.value).map_err(|_| CertificateError::Instance)?;
    let id = InstanceId::parse(text.as_ref()).map_err(|_| CertificateError::Instance)?;
    if rest.is_empty() { Ok(Some(id)) } else { Err(CertificateError::Instance) }
}

/// The extension to issue a certificate with.
pub(crate) fn instance_extension(id: &InstanceId) -> Result<CustomExtension, SignerError> {
    let value = Utf8String::new(id.as_str()).to_der_vec().map_err(|error| SignerError::Encoding(error.to_string()))?;
    Ok(CustomExtension::from_oid_content(INSTANCE_ID_OID, value))
}

/// SHA-256 of a certificate's DER in hexadecimal: its fingerprint.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate).as_ref())
}

/// Lower-case, two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is to be known of a certificate authority's certificate.
pub(crate) struct AuthorityFacts {
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// CA:TRUE, and allowed to sign certificates.
    pub(crate) may_sign: bool,
    /// The subject public key's bits.
    pub(crate) public_key: Vec<u8>,
}

impl AuthorityFacts {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Garbage)?;
        if !rest.is_empty() {
            return Err(CertificateError::Garbage);
        }
        let signs = |extension: &ParsedExtension<'_>| match extension {
            ParsedExtension::KeyUsage(usage) => Some(usage.key_cert_sign()),
            _ => None,
        };
        let may_sign =
            certificate.iter_extensions().find_map(|extension| signs(extension.parsed_extension())).unwrap_or(true);
        Ok(Self {
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            may_sign: may_sign && certificate.is_ca(),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
        })
    }
}
