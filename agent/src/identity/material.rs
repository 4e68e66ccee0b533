//! A key, the certificate of that key, and the roots that came with it: checked to belong together.

use pem::{EncodeConfig, LineEnding, Pem};
use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tombolo_core::SpiffeId;
use x509_parser::{
    extensions::{GeneralName, ParsedExtension},
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};
use zeroize::Zeroizing;

/// The most certificates in a chain with its roots. Meshes have two or three.
const MOST_CERTIFICATES: usize = 64;
/// The most bytes of PEM that is looked at.
pub(crate) const MOST_BYTES: usize = 256 * 1024;
const CERTIFICATE: &str = "CERTIFICATE";

/// A private key in PEM. It is not shown by `{:?}`, and its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<String>);

/// Who this workload is, with the proof of it.
#[derive(Clone, Debug)]
pub struct Material {
    id: SpiffeId,
    key: PrivateKey,
    chain: String,
    roots: String,
    not_before: SystemTime,
    not_after: SystemTime,
    obtained: SystemTime,
    certified: Arc<CertifiedKey>,
}

/// Why a key and certificates are no identity.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// Not text of certificates.
    #[error("the {0} are not certificates in PEM")]
    NotPem(&'static str),
    /// Nothing there.
    #[error("there is no certificate among the {0}")]
    Empty(&'static str),
    /// More than any mesh has.
    #[error("there are more than {MOST_CERTIFICATES} certificates, or more than {MOST_BYTES} bytes of them")]
    TooMany,
    /// The leaf cannot be read.
    #[error("the certificate cannot be read as X.509")]
    NotX509,
    /// The leaf is of another kind.
    #[error(
        "the certificate names no workload: it needs exactly one URI, spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT"
    )]
    NotAWorkload,
    /// The key is not one, or is another's.
    #[error("the private key does not belong to the certificate: {0}")]
    Key(rustls::Error),
}

impl PrivateKey {
    /// The key of this PEM.
    pub fn new(pem: String) -> Self {
        Self(Zeroizing::new(pem))
    }

    /// The PEM: for Envoy, TLS, and the state directory only.
    pub fn pem(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Material {
    /// From a key, the leaf with its intermediates, and the roots, all in PEM. `obtained` is when the leaf was issued, by our
    /// clock.
    ///
    /// # Errors
    /// [`MaterialError`] where they do not belong together.
    pub fn new(key: PrivateKey, chain: &str, roots: &str, obtained: SystemTime) -> Result<Self, MaterialError> {
        Self::of(key, certificates(chain, "chain")?, &certificates(roots, "roots")?, obtained)
    }

    /// From the answer to a certificate request: the leaf first, then intermediates and roots.
    ///
    /// What signs itself is a root, and so is the last one, as it is for Istio's agents.
    ///
    /// # Errors
    /// [`MaterialError`] where they do not belong together.
    pub fn from_response(key: PrivateKey, answer: &[String], obtained: SystemTime) -> Result<Self, MaterialError> {
        if answer.iter().map(String::len).sum::<usize>() > MOST_BYTES {
            return Err(MaterialError::TooMany);
        }
        let mut chain = certificates(&answer.join("\n"), "answer")?;
        let mut roots: Vec<Pem> = chain.extract_if(1.., |certificate| is_self_signed(certificate.contents())).collect();
        if roots.is_empty() && chain.len() > 1 {
            roots.extend(chain.pop());
        }
        Self::of(key, chain, &roots, obtained)
    }

    fn of(key: PrivateKey, chain: Vec<Pem>, roots: &[Pem], obtained: SystemTime) -> Result<Self, MaterialError> {
        if roots.is_empty() {
            return Err(MaterialError::Empty("roots"));
        }
        let leaf = chain.first().ok_or(MaterialError::Empty("chain"))?;
        let (id, not_before, not_after) = read_leaf(leaf.contents())?;
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        let text = |certificates: &[Pem]| pem::encode_many_config(certificates, config);
        let (chain_text, roots) = (text(&chain), text(roots));
        let chain = chain.into_iter().map(|certificate| CertificateDer::from(certificate.into_contents())).collect();
        let certified = certify(&key, chain).map_err(MaterialError::Key)?.into();
        Ok(Self { id, key, chain: chain_text, roots, not_before, not_after, obtained, certified })
    }

    /// Who the certificate says this workload is.
    pub const fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The private key.
    pub const fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The certificate and its intermediates, in PEM, the leaf first.
    pub fn chain(&self) -> &str {
        &self.chain
    }

    /// The roots that the mesh trusts, in PEM.
    pub fn roots(&self) -> &str {
        &self.roots
    }

    /// The end of the certificate's validity.
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// When it was obtained, by the clock of then.
    pub const fn obtained(&self) -> SystemTime {
        self.obtained
    }

    /// The beginning of the time that it was meant to be used for. Issuers date certificates back, against clocks that go wrong:
    /// that part of the validity does not count.
    pub fn since(&self) -> SystemTime {
        if self.obtained >= self.not_after { self.not_before } else { self.obtained.max(self.not_before) }
    }

    /// Whether it has ended at a time.
    pub fn is_expired_at(&self, now: SystemTime) -> bool {
        now >= self.not_after
    }

    /// Whether it has not begun at a time: by whose clock it was issued, or who asks, is wrong.
    pub fn is_early_at(&self, now: SystemTime) -> bool {
        now < self.not_before
    }

    /// Whether it is the same certificate, with the same roots.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        (&self.chain, &self.roots) == (&other.chain, &other.roots)
    }

    /// For TLS.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

/// The certificates of a PEM text, bounded; other blocks are passed over.
pub(crate) fn certificates(text: &str, what: &'static str) -> Result<Vec<Pem>, MaterialError> {
    if text.len() > MOST_BYTES {
        return Err(MaterialError::TooMany);
    }
    let blocks = pem::parse_many(text).map_err(|_| MaterialError::NotPem(what))?;
    let certificates: Vec<Pem> = blocks.into_iter().filter(|block| block.tag() == CERTIFICATE).collect();
    if certificates.len() > MOST_CERTIFICATES { Err(MaterialError::TooMany) } else { Ok(certificates) }
}

fn certify(key: &PrivateKey, chain: Vec<CertificateDer<'static>>) -> Result<CertifiedKey, rustls::Error> {
    let invalid = |what: &str| rustls::Error::General(what.to_owned());
    let block = pem::parse(key.pem()).map_err(|_| invalid("it is not a key in PEM"))?;
    let key = PrivateKeyDer::try_from(block.into_contents()).map_err(invalid)?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
}

pub(super) fn read_leaf(der: &[u8]) -> Result<(SpiffeId, SystemTime, SystemTime), MaterialError> {
    let (_, leaf) = X509Certificate::from_der(der).map_err(|_| MaterialError::NotX509)?;
    let names = leaf.subject_alternative_name().map_err(|_| MaterialError::NotX509)?;
    let names = names.ok_or(MaterialError::NotAWorkload)?;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    // SPIFFE X.509-SVID, section 2: exactly one URI.
    let (Some(uri), None) = (uris.next(), uris.next()) else { return Err(MaterialError::NotAWorkload) };
    let id = uri.parse().map_err(|_| MaterialError::NotAWorkload)?;
    let validity = leaf.validity();
    Ok((id, time(validity.not_before), time(validity.not_after)))
}

/// A root's issuer is itself, by name and by key: a root that another root vouches for may have the same name.
pub(super) fn is_self_signed(der: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let (mut own, mut issuer) = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0),
            ParsedExtension::AuthorityKeyIdentifier(id) => issuer = id.key_identifier.as_ref().map(|id| id.0),
            _ => {}
        }
    }
    certificate.subject().as_raw() == certificate.issuer().as_raw() && (issuer.is_none() || issuer == own)
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
}
