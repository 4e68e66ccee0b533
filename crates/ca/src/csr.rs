//! Certificate requests (PKCS #10, RFC 2986): the public key that is to be certified, and proof that the sender holds its private key.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm};
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::aws_lc_rs as algorithms;
use x509_parser::{
    asn1_rs::{FromDer as _, Oid},
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    oid_registry as oids,
    public_key::PublicKey as ParsedKey,
    x509::SubjectPublicKeyInfo,
};

/// A request with an RSA key of 8192 bits has about 3 KiB.
const MAX_BYTES: usize = 32 * 1024;
/// Sizes of RSA keys in bits: smaller ones are weak, larger ones cost whoever verifies too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a certificate request is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Too large.
    #[error("the certificate request has {0} bytes, more than 32 KiB: it should hold a public key and little else")]
    Oversized(usize),
    /// Not a request.
    #[error("the certificate request cannot be read: {0}; send PKCS #10 in PEM")]
    Garbage(&'static str),
    /// Not signed with the key that it holds.
    #[error("the certificate request is not signed with its own key")]
    Signature,
    /// A key that is too weak, or of an unknown kind.
    #[error("the key is not accepted ({0}): use ECDSA on P-256 or P-384, or RSA with 2048 to 8192 bits")]
    WeakKey(&'static str),
}

impl CsrError {
    /// The word of metrics and of the audit.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Oversized(_) => "csr_oversized",
            Self::Garbage(_) => "csr_garbage",
            Self::Signature => "csr_signature",
            Self::WeakKey(_) => "csr_weak_key",
        }
    }
}

/// A certificate request whose signature was verified.
#[derive(Clone, Debug)]
pub struct Csr {
    der: Vec<u8>,
    key: PublicKey,
    uris: Vec<String>,
}

/// The public key to certify.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    kind: Kind,
    bits: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Rsa,
}

impl Csr {
    /// Reads one from PEM and verifies it.
    ///
    /// # Errors
    /// [`CsrError`].
    pub fn parse(text: &str) -> Result<Self, CsrError> {
        if text.len() > MAX_BYTES {
            return Err(CsrError::Oversized(text.len()));
        }
        let block = pem::parse(text).map_err(|_| CsrError::Garbage("it is not PEM"))?;
        if !matches!(block.tag(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(CsrError::Garbage("it is PEM of something else"));
        }
        Self::from_der(block.into_contents())
    }

    /// Reads one from DER and verifies it.
    ///
    /// # Errors
    /// [`CsrError`].
    pub fn from_der(der: Vec<u8>) -> Result<Self, CsrError> {
        if der.len() > MAX_BYTES {
            return Err(CsrError::Oversized(der.len()));
        }
        let (rest, request) =
            X509CertificationRequest::from_der(&der).map_err(|_| CsrError::Garbage("it is not PKCS #10"))?;
        if !rest.is_empty() {
            return Err(CsrError::Garbage("bytes follow it"));
        }
        let info = &request.certification_request_info;
        let key = PublicKey::read(&info.subject_pki)?;
        let algorithm = key.verified_by(&request.signature_algorithm.algorithm).ok_or(CsrError::Signature)?;
        algorithm
            .verify_signature(&key.bits, info.raw, &request.signature_value.data)
            .map_err(|_| CsrError::Signature)?;
        let uris = request.requested_extensions().into_iter().flatten().flat_map(uris).collect();
        Ok(Self { key, uris, der })
    }

    /// As it came, in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The URIs that it asks to be named by.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// The kind of its key, for the audit: `P-256`, `P-384` or `RSA`.
    pub fn key_kind(&self) -> &'static str {
        match self.key.kind {
            Kind::P256 => "P-256",
            Kind::P384 => "P-384",
            Kind::Rsa => "RSA",
        }
    }

    /// TLS 1.2 without forward secrecy encrypts to RSA keys; others only sign.
    pub(crate) fn can_encrypt(&self) -> bool {
        self.key.kind == Kind::Rsa
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }
}

fn uris(extension: &ParsedExtension<'_>) -> Vec<String> {
    let ParsedExtension::SubjectAlternativeName(names) = extension else { return Vec::new() };
    let uri = |name: &GeneralName<'_>| if let GeneralName::URI(uri) = name { Some((*uri).to_owned()) } else { None };
    names.general_names.iter().filter_map(uri).collect()
}

impl PublicKey {
    fn read(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, CsrError> {
        let kind = match info.parsed().map_err(|_| CsrError::Garbage("its public key cannot be read"))? {
            ParsedKey::RSA(key) if RSA_BITS.contains(&modulus_bits(key.modulus)) => Kind::Rsa,
            ParsedKey::RSA(_) => return Err(CsrError::WeakKey("the size of the RSA key")),
            ParsedKey::EC(_) => match curve(info) {
                Some(curve) if curve == oids::OID_EC_P256 => Kind::P256,
                Some(curve) if curve == oids::OID_NIST_EC_P384 => Kind::P384,
                _ => return Err(CsrError::WeakKey("the curve")),
            },
            _ => return Err(CsrError::WeakKey("the kind of key")),
        };
        Ok(Self { kind, bits: info.subject_public_key.data.to_vec() })
    }

    /// How the request was signed, if it can have been with this key.
    fn verified_by(&self, signature: &Oid<'_>) -> Option<&'static dyn SignatureVerificationAlgorithm> {
        let known: [(&Oid<'static>, [&'static dyn SignatureVerificationAlgorithm; 2]); 2] = [
            (&oids::OID_SIG_ECDSA_WITH_SHA256, [algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256]),
            (&oids::OID_SIG_ECDSA_WITH_SHA384, [algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384]),
        ];
        let rsa: [(&Oid<'static>, &'static dyn SignatureVerificationAlgorithm); 3] = [
            (&oids::OID_PKCS1_SHA256WITHRSA, algorithms::RSA_PKCS1_2048_8192_SHA256),
            (&oids::OID_PKCS1_SHA384WITHRSA, algorithms::RSA_PKCS1_2048_8192_SHA384),
            (&oids::OID_PKCS1_SHA512WITHRSA, algorithms::RSA_PKCS1_2048_8192_SHA512),
        ];
        let ecdsa = known.into_iter().find(|(oid, _)| *oid == signature).map(|(_, by_curve)| by_curve);
        match self.kind {
            Kind::P256 => ecdsa.map(|[p256, _]| p256),
            Kind::P384 => ecdsa.map(|[_, p384]| p384),
            Kind::Rsa => rsa.into_iter().find(|(oid, _)| *oid == signature).map(|(_, algorithm)| algorithm),
        }
    }
}

/// The number of bits, leading zeros not counted.
fn modulus_bits(modulus: &[u8]) -> usize {
    let significant = modulus.iter().skip_while(|byte| **byte == 0);
    let leading = significant.clone().next().map_or(0, |byte| byte.leading_zeros() as usize);
    (significant.count() * 8).saturating_sub(leading)
}

fn curve<'a>(info: &SubjectPublicKeyInfo<'a>) -> Option<Oid<'a>> {
    info.algorithm.parameters.as_ref().and_then(|parameters| parameters.clone().oid().ok())
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.kind {
            Kind::P256 => &PKCS_ECDSA_P256_SHA256,
            Kind::P384 => &PKCS_ECDSA_P384_SHA384,
            Kind::Rsa => &PKCS_RSA_SHA256,
        }
    }
}
