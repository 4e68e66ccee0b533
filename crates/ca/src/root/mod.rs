//! A root of our own, and its rotation: values that the shell keeps in its store.

mod rotation;

pub use rotation::{RotationPolicy, Step};

use crate::{
    CertificateError, Secret, SignerError,
    certificate::{AuthorityFacts, hex},
    chain::{certificates, to_pem},
    moment,
    signer::serial,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber,
};
use rotation::Phase;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use tombolo_core::TrustDomain;

/// Why a root cannot be made, read or rotated.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The stored text is not what was written.
    #[error("the stored roots cannot be read; restore them from a backup, since a new root is trusted by nobody")]
    Stored(#[source] serde_json::Error),
    /// A stored certificate cannot be read.
    #[error("a stored root is not a certificate authority's: {0}")]
    Certificate(#[source] CertificateError),
    /// A stored certificate is not PEM.
    #[error("a stored root is not one certificate in PEM")]
    Pem,
    /// The stored key is another's.
    #[error("the stored key is not that of the stored root")]
    KeyMismatch,
    /// Making or reading a key or certificate failed.
    #[error("the root could not be made or read: {0}")]
    Cryptography(#[from] rcgen::Error),
    /// No random numbers.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// A rotation is under way.
    #[error("a rotation is under way: the next one can begin when it is done")]
    UnderWay,
}

/// One root with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The subject's common name. Each root has its own: what looks for an issuer finds the right one at once.
    name: String,
    /// PEM.
    certificate: String,
    /// PEM, PKCS #8.
    key: Secret,
}

/// The roots of a mesh. A value: whoever keeps it stores what [`advance`](Self::advance) gives, and then signs by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roots {
    trust_domain: String,
    active: Root,
    phase: Phase,
}

impl Root {
    fn create(trust_domain: &str, now: SystemTime, lifetime: Duration) -> Result<Self, RootError> {
        let key = KeyPair::generate()?;
        let name = format!("Tombolo root {}", hex(&serial()?[..4]));
        let mut params = authority(trust_domain, &name)?;
        let starts = moment::unix(now);
        // For machines whose clock is behind.
        params.not_before = moment::calendar(starts - 3600);
        params.not_after = moment::calendar(starts.saturating_add(moment::seconds(lifetime)));
        let certificate = to_pem(params.self_signed(&key)?.der());
        Ok(Self { name, certificate, key: Secret::new(key.serialize_pem()) })
    }

    /// The certificate.
    ///
    /// # Errors
    /// [`RootError::Pem`].
    pub fn certificate(&self) -> Result<CertificateDer<'static>, RootError> {
        one(&self.certificate)
    }

    /// When it is over.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn expires(&self) -> Result<SystemTime, RootError> {
        let facts = AuthorityFacts::parse(&self.certificate()?).map_err(RootError::Certificate)?;
        Ok(moment::system(facts.not_after))
    }

    pub(crate) fn key_pair(&self) -> Result<KeyPair, RootError> {
        Ok(KeyPair::from_pem(self.key.reveal())?)
    }

    /// The same name and key as this root's, certified by another: who trusts the other one trusts this one.
    fn signed_by(&self, other: &Self, trust_domain: &str) -> Result<String, RootError> {
        let (own, by) = (self.certificate()?, other.certificate()?);
        let facts = AuthorityFacts::parse(&own).map_err(RootError::Certificate)?;
        let last = AuthorityFacts::parse(&by).map_err(RootError::Certificate)?.not_after;
        let mut params = authority(trust_domain, &self.name)?;
        (params.not_before, params.not_after) =
            (moment::calendar(facts.not_before), moment::calendar(facts.not_after.min(last)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let issuer = Issuer::from_ca_cert_der(&by, other.key_pair()?)?;
        Ok(to_pem(params.signed_by(&self.key_pair()?, &issuer)?.der()))
    }

    fn check(&self) -> Result<(), RootError> {
        let facts = AuthorityFacts::parse(&self.certificate()?).map_err(RootError::Certificate)?;
        if !facts.may_sign {
            return Err(RootError::Certificate(CertificateError::Authority));
        }
        if self.key_pair()?.public_key_raw() == facts.public_key { Ok(()) } else { Err(RootError::KeyMismatch) }
    }
}

fn authority(trust_domain: &str, name: &str) -> Result<CertificateParams, RootError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, trust_domain);
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(params)
}

fn one(text: &str) -> Result<CertificateDer<'static>, RootError> {
    let mut all = certificates(text.as_bytes()).map_err(|_| RootError::Pem)?;
    if all.len() == 1 { all.pop().ok_or(RootError::Pem) } else { Err(RootError::Pem) }
}

impl Roots {
    /// The first root of a mesh. Istio's lifetime is ten years, [`RotationPolicy::default`]'s too.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn create(trust_domain: &TrustDomain, now: SystemTime, lifetime: Duration) -> Result<Self, RootError> {
        let active = Root::create(trust_domain.as_str(), now, lifetime)?;
        Ok(Self { trust_domain: trust_domain.as_str().to_owned(), active, phase: Phase::Settled })
    }

    /// Reads what [`to_json`](Self::to_json) wrote, and checks that keys and certificates belong together.
    ///
    /// # Errors
    /// [`RootError`]. Do not create others then: they would be trusted by nobody.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RootError> {
        let roots: Self = serde_json::from_slice(bytes).map_err(RootError::Stored)?;
        for root in roots.all() {
            root.check()?;
        }
        roots.cross()?;
        Ok(roots)
    }

    /// For the store. It holds the private keys.
    ///
    /// # Errors
    /// None is known.
    pub fn to_json(&self) -> Result<Vec<u8>, RootError> {
        serde_json::to_vec_pretty(self).map_err(RootError::Stored)
    }

    /// The one that signs.
    pub fn active(&self) -> &Root {
        &self.active
    }
}
