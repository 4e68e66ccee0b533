//! The port that signs certificates, and what is signed.

mod cacerts;
mod leaf;
mod local;

pub(crate) use leaf::serial;

pub use cacerts::{CaCerts, CaCertsError};
pub use local::{Issuing, LocalSigner};

use crate::{Chain, Csr, TrustBundle, exists::Answer};
use rustls_pki_types::CertificateDer;
use std::{net::IpAddr, sync::Arc, time::SystemTime};
use tombolo_core::{InstanceId, SpiffeId};

/// Signs certificates: with a root or an intermediate at hand, or by asking somebody who has one, for which it may wait.
pub trait Signer: Send + Sync {
    /// Signs a certificate for a request that was verified, and whose subject was proven.
    fn sign<'a>(&'a self, request: &'a IssueRequest<'a>) -> Answer<'a, Result<Issued, SignerError>>;

    /// The roots that peers are to trust now, the active one last.
    fn trust(&self) -> Arc<TrustBundle>;

    /// What stands between newly signed certificates and the active root. Changes (by pointer) when another authority signs, which
    /// is when servers need new certificates of their own.
    fn chain(&self) -> Arc<Chain>;

    /// When what it signs with is over: the certificate's role, such as `root`, and the time.
    fn expiries(&self) -> Vec<(&'static str, SystemTime)>;
}

/// What is to be certified.
#[derive(Clone, Debug)]
pub struct IssueRequest<'a> {
    /// The public key, and proof that the private one is held.
    pub csr: &'a Csr,
    /// Who gets it: proven, never taken from the request.
    pub subject: Subject,
    /// Valid from.
    pub not_before: SystemTime,
    /// Valid until; the certificate ends earlier where the authority's own does.
    pub not_after: SystemTime,
}

/// Whom a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A workload: for both sides of mutual TLS.
    Workload {
        /// The URI.
        id: SpiffeId,
        /// The private extension.
        instance: Option<InstanceId>,
    },
    /// The control plane's own server.
    Server(ServerNames),
}

/// By what names and addresses a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames {
    /// DNS names.
    pub dns: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
}

/// A new certificate.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub leaf: CertificateDer<'static>,
    /// What stands between it and the roots.
    pub chain: Arc<Chain>,
    /// The roots to trust, the active one last.
    pub trust: Arc<TrustBundle>,
    /// Its serial number in hexadecimal.
    pub serial: String,
    /// When it is over.
    pub not_after: SystemTime,
}

/// A certificate could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The signer's own certificate is over.
    #[error("the certificate authority's own certificate expired: rotate the root, or renew the files of cacerts")]
    Expired,
    /// The certificate could not be put together.
    #[error("the certificate could not be made: {0}")]
    Encoding(String),
    /// A signer elsewhere did not sign.
    #[error("the signer did not sign, try again: {0}")]
    Remote(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<rcgen::Error> for SignerError {
    fn from(error: rcgen::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}
