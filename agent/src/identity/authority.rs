//! Who issues certificates, as the identity sees it: a port.

use super::Material;
use std::{future::Future, sync::Arc};
use tombolo_proto::agent::{CertificateRequest, CertificateResponse};

/// Issues certificates.
pub trait Authority: Send + Sync {
    /// Asks for a certificate.
    fn certify(
        &self,
        request: CertificateRequest,
        proof: Proof,
    ) -> impl Future<Output = Result<CertificateResponse, Failure>> + Send;
}

/// What a request is proven with, besides a token, which goes along where there is one.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// The newest identity, perhaps expired. Its roots are trusted.
    pub held: Option<Arc<Material>>,
    /// Whether its certificate is shown.
    pub show: bool,
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind: a label of metrics.
    pub reason: Reason,
    /// What happened, and what may help.
    pub message: String,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The control plane could not be reached, or did not answer.
    Unreachable,
    /// It answered, and refused.
    Refused,
    /// It issued something that is of no use.
    Invalid,
    /// No key could be made.
    Key,
}

impl Reason {
    /// The word for labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::Key => "key",
        }
    }
}
