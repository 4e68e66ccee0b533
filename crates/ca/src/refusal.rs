//! Why somebody gets no certificate and no stream.

use crate::{CertificateError, CsrError, SignerError};
use tombolo_core::{SpiffeId, TrustDomain};
use tonic::{Code, Status};

/// Why a request was refused. [`reason`](Self::reason) is the word of metrics and of the audit; the message names the fix.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Neither a token nor a certificate.
    #[error(
        "nothing proves who asks: send `authorization: Bearer TOKEN`, or connect with a client certificate of this mesh"
    )]
    NoProof,
    /// Not a token of a ServiceAccount.
    #[error("the token cannot be read: {0}; send the ServiceAccount token as Kubernetes wrote it")]
    GarbageToken(&'static str),
    /// No key by the token's `kid`.
    #[error(
        "the token was signed with key {0:?}, which is not among the issuer's keys (JWKS): is it a token of another cluster?"
    )]
    UnknownKey(String),
    /// The signature does not fit.
    #[error("the token's signature does not fit the issuer's key")]
    TokenSignature,
    /// Its issuer does not stand by it.
    #[error("the API server does not accept the token: it is not one of its own, or what it is bound to is gone")]
    NotGenuine,
    /// Its issuer could not be asked.
    #[error(transparent)]
    Unreviewed(#[from] crate::ReviewError),
    /// Somebody else's token.
    #[error("the token's issuer is {found:?}, but tokens of {expected} are accepted")]
    WrongIssuer {
        /// The token's `iss`.
        found: String,
        /// Who may issue.
        expected: String,
    },
    /// A token for something else.
    #[error("the token's audience is {found:?}, but it must be {expected}: project the token with that audience")]
    WrongAudience {
        /// The token's `aud`.
        found: String,
        /// For whom tokens must be.
        expected: String,
    },
    /// Its time is over.
    #[error("the token expired {0} s ago: read the token's file again, the kubelet renews it")]
    TokenExpired(i64),
    /// Its time is to come.
    #[error("the token is valid only in {0} s: set this host's clock")]
    TokenNotYetValid(i64),
    /// A token, but not of a ServiceAccount.
    #[error("the token is not of a ServiceAccount: {0}")]
    NotServiceAccount(&'static str),
    /// What the proof is bound to exists no more.
    #[error("{0} does not exist (any more)")]
    Gone(String),
    /// The instance was revoked.
    #[error("this instance was revoked by {0}")]
    Revoked(String),
    /// It is not known whether the caller exists.
    #[error(transparent)]
    Unknown(#[from] crate::ExistsError),
    /// The certificate cannot be read, or names no workload.
    #[error("the client certificate is not one of a workload: {0}")]
    NotWorkload(CertificateError),
    /// No trusted root leads to it.
    #[error("the client certificate does not lead to a root of this mesh ({0}): join again with a token")]
    ForeignRoot(String),
    /// The root that leads to it is over.
    #[error("the root of the client certificate expired: join again with a token")]
    RootExpired,
    /// Its time is over.
    #[error("the client certificate expired {0} s ago, which is too long: join again with a token")]
    CertificateExpired(i64),
    /// Its time is to come.
    #[error("the client certificate is valid only in {0} s: set the clocks")]
    CertificateNotYetValid(i64),
    /// Of another mesh.
    #[error("{found} is of another trust domain than {expected}")]
    OtherTrustDomain {
        /// Who asks.
        found: SpiffeId,
        /// Ours.
        expected: TrustDomain,
    },
    /// The certificate request is not acceptable.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The certificate request is for another.
    #[error(
        "the certificate request is for {requested:?}, but the caller is {caller}: leave the URI out, it is set from the proof"
    )]
    OtherName {
        /// The request's URI.
        requested: String,
        /// Who asks.
        caller: SpiffeId,
    },
    /// The request wants to act for another.
    #[error(
        "{0:?} cannot be impersonated: a certificate is issued to the one who asks only (metadata ImpersonatedIdentity)"
    )]
    Impersonation(String),
    /// The requested instance is not an id.
    #[error("metadata InstanceId: {0}")]
    Instance(#[from] tombolo_core::IdentityError),
    /// The signer did not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

impl Refusal {
    /// A stable word: the label of metrics and the audit's reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoProof => "no_proof",
            Self::GarbageToken(_) => "garbage_token",
            Self::UnknownKey(_) => "unknown_key",
            Self::TokenSignature => "token_signature",
            Self::NotGenuine => "token_not_genuine",
            Self::Unreviewed(_) => "token_unreviewed",
            Self::WrongIssuer { .. } => "wrong_issuer",
            Self::WrongAudience { .. } => "wrong_audience",
            Self::TokenExpired(_) => "token_expired",
            Self::TokenNotYetValid(_) => "token_not_yet_valid",
            Self::NotServiceAccount(_) => "not_service_account",
            Self::Gone(_) => "gone",
            Self::Revoked(_) => "revoked",
            Self::Unknown(_) => "existence_unknown",
            Self::NotWorkload(_) => "not_workload",
            Self::ForeignRoot(_) => "foreign_root",
            Self::RootExpired => "root_expired",
            Self::CertificateExpired(_) => "certificate_expired",
            Self::CertificateNotYetValid(_) => "certificate_not_yet_valid",
            Self::OtherTrustDomain { .. } => "other_trust_domain",
            Self::Csr(error) => error.reason(),
            Self::OtherName { .. } => "csr_other_name",
            Self::Impersonation(_) => "impersonation",
            Self::Instance(_) => "bad_instance",
            Self::Signer(_) => "signer_failed",
        }
    }

    /// The gRPC code: `UNAUTHENTICATED` where another proof helps, `PERMISSION_DENIED` where none does, `INVALID_ARGUMENT` where the
    /// request must change, `UNAVAILABLE` where it can be repeated as it is.
    pub const fn code(&self) -> Code {
        match self {
            Self::Gone(_) | Self::Revoked(_) | Self::OtherTrustDomain { .. } => Code::PermissionDenied,
            Self::OtherName { .. } | Self::Impersonation(_) => Code::PermissionDenied,
            Self::Csr(_) | Self::Instance(_) => Code::InvalidArgument,
            Self::Unknown(_) | Self::Unreviewed(_) | Self::Signer(_) => Code::Unavailable,
            _ => Code::Unauthenticated,
        }
    }
}

impl From<&Refusal> for Status {
    fn from(refusal: &Refusal) -> Self {
        Self::new(refusal.code(), refusal.to_string())
    }
}
