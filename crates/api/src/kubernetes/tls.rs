//! Certificates and keys in Secrets and ConfigMaps: checked before any proxy sees them, because a proxy refuses a whole
//! listener for one bad certificate.

use super::{Bytes, ConfigMap, Secret, TLS_CERT_KEY, TLS_PRIVATE_KEY_KEY};
use crate::Timestamp;
use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use std::{net::IpAddr, sync::Arc};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _, public_key::PublicKey,
};

/// Key of the data that holds the certificates of trusted authorities, in PEM.
pub const CA_CERT_KEY: &str = "ca.crt";

/// A certificate chain and the private key of its leaf, which fit together and which Envoy accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPair {
    /// The chain as it is written, in PEM, the leaf first.
    pub chain_pem: Bytes,
    /// The private key as it is written, in PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key_pem: Bytes,
    /// When the leaf expires. A pair that has expired is served all the same: whoever shows it decides.
    pub not_after: Timestamp,
    /// The leaf's DNS names and IP addresses, from its subject alternative names, in its order.
    pub names: Vec<Arc<str>>,
}

/// Certificates of trusted authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaBundle {
    /// As they are written, in PEM.
    pub pem: Bytes,
    /// When the first of them expires.
    pub not_after: Timestamp,
}

/// Why an object holds no certificates that can be served. The messages never show its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The object has no such key.
    #[error("there is no {0}; add it, in PEM")]
    Missing(&'static str),
    /// The value holds no PEM block of the kind that is needed, or a broken one.
    #[error("{0} holds no certificate in PEM; begin it with -----BEGIN CERTIFICATE-----")]
    NoCertificate(&'static str),
    /// The block is PEM; what it holds is no X.509 certificate.
    #[error("certificate {index} of {key} is malformed; replace it")]
    MalformedCertificate {
        /// The key of the data.
        key: &'static str,
        /// Which certificate, from 1.
        index: usize,
    },
    /// The value holds no private key.
    #[error("tls.key holds no private key in PEM; use PKCS #8, PKCS #1 or SEC 1, as openssl genpkey writes")]
    NoKey,
    /// The private key needs a passphrase, which nobody here knows.
    #[error("tls.key is encrypted; decrypt it with openssl pkey")]
    EncryptedKey,
    /// The block is PEM; what it holds is no private key, or of no known algorithm.
    #[error("the private key in tls.key is malformed, or of an unknown algorithm; use RSA or ECDSA")]
    MalformedKey,
    /// Envoy refuses keys of this kind.
    #[error("Envoy does not serve {0}; use RSA of at least 2048 bits, or ECDSA with P-256, P-384 or P-521")]
    UnsupportedKey(String),
    /// They are not a pair.
    #[error(
        "the private key in tls.key is not that of the first certificate in tls.crt; put the leaf first, or replace one"
    )]
    Mismatch,
}

impl TlsError {
    /// The same word for each kind of error, for conditions and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "Missing",
            Self::NoCertificate(_) => "NoCertificate",
            Self::MalformedCertificate { .. } => "MalformedCertificate",
            Self::NoKey => "NoKey",
            Self::EncryptedKey => "EncryptedKey",
            Self::MalformedKey => "MalformedKey",
            Self::UnsupportedKey(_) => "UnsupportedKey",
            Self::Mismatch => "Mismatch",
        }
    }
}

impl TlsPair {
    /// Reads `tls.crt` and `tls.key` of a Secret, whatever its type.
    pub fn from_secret(secret: &Secret) -> Result<Self, TlsError> {
        let value = |key| secret.data.get(key).ok_or(TlsError::Missing(key));
        let (chain_pem, key_pem) = (value(TLS_CERT_KEY)?, value(TLS_PRIVATE_KEY_KEY)?);
        let chain = certificates(TLS_CERT_KEY, chain_pem.expose())?;
        let parsed = parse(TLS_CERT_KEY, &chain)?;
        let leaf = parsed.first().ok_or(TlsError::NoCertificate(TLS_CERT_KEY))?;
        check_algorithm(leaf)?;
        let (not_after, names) = (expiry(leaf), names(leaf));
        check_pair(chain.clone(), key_pem.expose())?;
        Ok(Self { chain_pem: chain_pem.clone(), key_pem: key_pem.clone(), not_after, names })
    }
}

impl CaBundle {
    /// Reads `ca.crt` of a ConfigMap.
    pub fn from_config_map(map: &ConfigMap) -> Result<Self, TlsError> {
        let text = map.data.get(CA_CERT_KEY).ok_or(TlsError::Missing(CA_CERT_KEY))?;
        Self::from_pem(Bytes::new(text.as_bytes()))
    }

    /// Reads `ca.crt` of a Secret.
    pub fn from_secret(secret: &Secret) -> Result<Self, TlsError> {
        Self::from_pem(secret.data.get(CA_CERT_KEY).ok_or(TlsError::Missing(CA_CERT_KEY))?.clone())
    }

    fn from_pem(pem: Bytes) -> Result<Self, TlsError> {
        let certificates = certificates(CA_CERT_KEY, pem.expose())?;
        let not_after = parse(CA_CERT_KEY, &certificates)?.iter().map(expiry).min();
        Ok(Self { pem, not_after: not_after.ok_or(TlsError::NoCertificate(CA_CERT_KEY))? })
    }
}

/// At least one certificate. Other blocks and text around them are passed over.
fn certificates(key: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or(TlsError::NoCertificate(key))
}

fn parse<'a>(key: &'static str, chain: &'a [CertificateDer<'_>]) -> Result<Vec<X509Certificate<'a>>, TlsError> {
    let parse_one = |(i, der): (usize, &'a CertificateDer<'_>)| match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(TlsError::MalformedCertificate { key, index: i + 1 }),
    };
    chain.iter().enumerate().map(parse_one).collect()
}

fn expiry(certificate: &X509Certificate<'_>) -> Timestamp {
    Timestamp(certificate.validity().not_after.timestamp())
}

fn names(leaf: &X509Certificate<'_>) -> Vec<Arc<str>> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let general = extension.iter().flat_map(|extension| &extension.value.general_names);
    general.filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<Arc<str>> {
    match name {
        GeneralName::DNSName(dns) => Some((*dns).into()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string().into())
        }
        _ => None,
    }
}

/// Envoy's own limits: with others it refuses the listener.
fn check_algorithm(leaf: &X509Certificate<'_>) -> Result<(), TlsError> {
    let key = leaf.public_key();
    let refuse = |what: String| Err(TlsError::UnsupportedKey(what));
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() < 2048 => refuse(format!("RSA keys of {} bits", rsa.key_size())),
        Ok(PublicKey::RSA(_)) => Ok(()),
        Ok(PublicKey::EC(point)) if matches!(point.key_size(), 256 | 384 | 528 | 521) => Ok(()),
        Ok(PublicKey::EC(point)) => refuse(format!("ECDSA keys of {} bits", point.key_size())),
        _ => refuse(format!("keys of algorithm {}", key.algorithm.algorithm)),
    }
}

fn check_pair(chain: Vec<CertificateDer<'static>>, key_pem: &[u8]) -> Result<(), TlsError> {
    let key = private_key(key_pem)?;
    let signing = any_supported_type(&key).map_err(|_| TlsError::MalformedKey)?;
    match CertifiedKey::new(chain, signing).keys_match() {
        Ok(()) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch),
        Err(_) => Err(TlsError::MalformedCertificate { key: TLS_CERT_KEY, index: 1 }),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        // `ENCRYPTED PRIVATE KEY`, or the older header `Proc-Type: 4,ENCRYPTED`.
        let encrypted = pem.windows(9).any(|window| window == b"ENCRYPTED");
        if encrypted { TlsError::EncryptedKey } else { TlsError::NoKey }
    })
}

#[cfg(test)]
mod tests;
