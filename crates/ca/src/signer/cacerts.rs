//! A provided intermediate, in the four files of Istio's Secret `cacerts`.

use super::{IssueRequest, Issuing, Subject};
use crate::{
    Csr, TrustBundle,
    certificate::AuthorityFacts,
    chain::{PemError, certificates},
    moment,
};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use tombolo_core::{SpiffeId, TrustDomain};

const CERT: &str = "ca-cert.pem";
const KEY: &str = "ca-key.pem";
const CHAIN: &str = "cert-chain.pem";
const ROOT: &str = "root-cert.pem";

/// The files' contents; `None` where a file is missing.
#[derive(Clone, Copy, Default)]
pub struct CaCerts<'a> {
    /// `ca-cert.pem`: the certificate that signs.
    pub cert: Option<&'a [u8]>,
    /// `ca-key.pem`: its private key, PKCS #8, PKCS #1 or SEC 1.
    pub key: Option<&'a [u8]>,
    /// `cert-chain.pem`: from the signing certificate towards the root.
    pub chain: Option<&'a [u8]>,
    /// `root-cert.pem`: the roots to trust, the active one last.
    pub root: Option<&'a [u8]>,
}

/// Why the files are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaCertsError {
    /// Some are there, some are not.
    #[error("cacerts lacks {0}: give all of ca-cert.pem, ca-key.pem, cert-chain.pem and root-cert.pem")]
    Missing(String),
    /// One cannot be read.
    #[error("{file}: {error}")]
    Pem {
        /// The file.
        file: &'static str,
        /// What is wrong.
        error: PemError,
    },
    /// One is empty.
    #[error("{0} holds no certificate")]
    Empty(&'static str),
    /// Not a certificate.
    #[error("{file}: {reason}")]
    Certificate {
        /// The file.
        file: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// Its time is over.
    #[error("{0} holds a certificate that expired: renew it")]
    Expired(&'static str),
    /// Its time is to come.
    #[error("{0} holds a certificate that is not valid yet: look at the clocks")]
    NotYetValid(&'static str),
    /// The key cannot be read.
    #[error("ca-key.pem is not a private key in PEM: use ECDSA on P-256 or P-384, or RSA, unencrypted")]
    Key,
    /// The key is another certificate's.
    #[error("ca-key.pem is not the key of the certificate in ca-cert.pem")]
    KeyMismatch,
    /// A certificate signed with it would not be trusted.
    #[error("a certificate signed with ca-cert.pem would not lead to root-cert.pem by way of cert-chain.pem: {0}")]
    Chain(String),
    /// Peers would not trust it yet.
    #[error(
        "no root that the mesh trusts now leads to ca-cert.pem: first put the new root into root-cert.pem beside the old one, and give certificates one lifetime to learn of it"
    )]
    Unannounced,
    /// Peers would not be trusted any more.
    #[error(
        "root-cert.pem lacks the root of the certificates that were signed until now: keep it there until they have been renewed"
    )]
    Forgotten,
}

impl Issuing {
    /// By the provided intermediate. What would come of it is tried out: a certificate is signed, and verified as peers do.
    ///
    /// # Errors
    /// [`CaCertsError`], which names the file.
    pub fn provided(files: &CaCerts<'_>, now: SystemTime) -> Result<Self, CaCertsError> {
        let read = Read::of(files)?;
        for (file, ders) in [(CERT, &read.cert), (CHAIN, &read.chain), (ROOT, &read.roots)] {
            ders.iter().try_for_each(|der| in_time(file, &facts(file, der)?, now))?;
        }
        let issuing = read.issuing()?;
        issuing.rehearse(&issuing.trust(), now)?;
        Ok(issuing)
    }

    /// By an intermediate that was provided before. What is over in its files takes nothing from the rest, and whether it can sign
    /// still is for [`counts`](Self::counts) to say.
    ///
    /// # Errors
    /// [`CaCertsError`] where the files cannot be read.
    pub fn kept(files: &CaCerts<'_>, now: SystemTime) -> Result<Self, CaCertsError> {
        let mut read = Read::of(files)?;
        let now = moment::unix(now);
        read.chain.retain(|der| facts(CHAIN, der).is_ok_and(|facts| facts.not_after >= now));
        read.issuing()
    }

    /// Whether what it signs leads to one of its roots. Where a clock went back behind its beginning, it is judged as of then:
    /// others trust it as before.
    ///
    /// # Errors
    /// [`CaCertsError`], why not.
    pub fn counts(&self, now: SystemTime) -> Result<(), CaCertsError> {
        self.rehearse(&self.trust(), now.max(self.begins()))
    }

    /// Whether it can take the place of another while everybody goes on: whoever trusts the other one's roots trusts what this one
    /// signs, and the other way round. One whose time is over can be replaced by any.
    ///
    /// # Errors
    /// [`CaCertsError::Unannounced`], [`CaCertsError::Forgotten`].
    pub fn can_follow(&self, other: &Self, now: SystemTime) -> Result<(), CaCertsError> {
        if other.rehearse(&other.trust(), now).is_err() {
            return Ok(());
        }
        self.rehearse(&other.trust(), now).map_err(|_| CaCertsError::Unannounced)?;
        other.rehearse(&self.trust(), now).map_err(|_| CaCertsError::Forgotten)
    }

    /// Whether whoever trusts these roots accepts what this one signs.
    pub fn is_accepted_by(&self, roots: &[CertificateDer<'static>], now: SystemTime) -> bool {
        TrustBundle::new(roots.to_vec()).is_ok_and(|trust| self.rehearse(&trust, now).is_ok())
    }

    /// Signs a certificate and verifies it: this finds out about path lengths, names, gaps in the chain, whatever peers look at.
    fn rehearse(&self, trust: &TrustBundle, now: SystemTime) -> Result<(), CaCertsError> {
        let failed = |error: &dyn std::fmt::Display| CaCertsError::Chain(error.to_string());
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let request = CertificateParams::default().serialize_request(&key).map_err(|error| failed(&error))?;
        let csr = Csr::from_der(request.der().to_vec()).map_err(|error| failed(&error))?;
        let id = SpiffeId {
            trust_domain: TrustDomain::default(),
            namespace: "rehearsal".into(),
            service_account: "rehearsal".into(),
        };
        let subject = Subject::Workload { id, instance: None };
        let request = IssueRequest { csr: &csr, subject, not_before: now, not_after: now + Duration::from_secs(60) };
        let issued = self.issue(&request).map_err(|error| failed(&error))?;
        let chain: Vec<CertificateDer<'static>> =
            [issued.leaf].into_iter().chain(issued.chain.ders().iter().cloned()).collect();
        trust.verify(&chain, now, Duration::ZERO).map(drop).map_err(|error| match error {
            crate::Refusal::ForeignRoot(reason) => CaCertsError::Chain(reason),
            error => failed(&error),
        })
    }
}

/// The files, read.
struct Read {
    cert: Vec<CertificateDer<'static>>,
    key: KeyPair,
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
}

impl Read {
    fn of(files: &CaCerts<'_>) -> Result<Self, CaCertsError> {
        let [cert, key, chain, root] = complete(files)?;
        let (mut cert, chain, roots) = (read(CERT, cert)?, read(CHAIN, chain)?, read(ROOT, root)?);
        // What comes after it there stands in the chain.
        cert.truncate(1);
        for (file, ders) in [(CERT, &cert), (ROOT, &roots)] {
            if ders.is_empty() {
                return Err(CaCertsError::Empty(file));
            }
        }
        Ok(Self { cert, key: key_pair(key)?, chain, roots })
    }

    fn issuing(self) -> Result<Issuing, CaCertsError> {
        let authority = self.cert.first().ok_or(CaCertsError::Empty(CERT))?;
        if self.key.public_key_raw() != facts(CERT, authority)?.public_key {
            return Err(CaCertsError::KeyMismatch);
        }
        let between = between(authority, self.chain, &self.roots);
        let trust = TrustBundle::new(self.roots).map_err(|_| malformed(ROOT))?;
        Issuing::new(authority, self.key, between, trust).map_err(|_| malformed(CERT))
    }
}

fn complete<'a>(files: &CaCerts<'a>) -> Result<[&'a [u8]; 4], CaCertsError> {
    if let (Some(cert), Some(key), Some(chain), Some(root)) = (files.cert, files.key, files.chain, files.root) {
        return Ok([cert, key, chain, root]);
    }
    let all = [(CERT, files.cert), (KEY, files.key), (CHAIN, files.chain), (ROOT, files.root)];
    let missing: Vec<&str> = all.iter().filter(|(_, text)| text.is_none()).map(|(file, _)| *file).collect();
    Err(CaCertsError::Missing(missing.join(", ")))
}

fn read(file: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CaCertsError> {
    certificates(text).map_err(|error| CaCertsError::Pem { file, error })
}

fn malformed(file: &'static str) -> CaCertsError {
    CaCertsError::Certificate { file, reason: "it holds something that is not an X.509 certificate" }
}

fn facts(file: &'static str, der: &CertificateDer<'_>) -> Result<AuthorityFacts, CaCertsError> {
    let facts = AuthorityFacts::parse(der).map_err(|_| malformed(file))?;
    if facts.may_sign {
        return Ok(facts);
    }
    let reason = "it holds a certificate that may not sign others (basicConstraints CA:TRUE, keyUsage keyCertSign)";
    Err(CaCertsError::Certificate { file, reason })
}

fn in_time(file: &'static str, facts: &AuthorityFacts, now: SystemTime) -> Result<(), CaCertsError> {
    let now = moment::unix(now);
    if now > facts.not_after {
        return Err(CaCertsError::Expired(file));
    }
    if now < facts.not_before { Err(CaCertsError::NotYetValid(file)) } else { Ok(()) }
}

fn key_pair(text: &[u8]) -> Result<KeyPair, CaCertsError> {
    std::str::from_utf8(text).ok().and_then(|text| KeyPair::from_pem(text).ok()).ok_or(CaCertsError::Key)
}

/// What peers need besides the roots, the signing certificate first.
fn between(
    authority: &CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    roots: &[CertificateDer<'static>],
) -> Vec<CertificateDer<'static>> {
    let rest = chain.into_iter().filter(|der| der != authority);
    [authority.clone()].into_iter().chain(rest).filter(|der| !roots.contains(der)).collect()
}
