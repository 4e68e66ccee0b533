//! Issuing: who may hold which identity, and the certificates that say so.
//!
//! ```text
//! bearer token ──► TokenVerifier ─┐                                  ┌─► Signer: a root of our own (Roots),
//!                                 ├─► Caller ──► Exists ──► Csr ─────┤           cacerts, somebody elsewhere
//! client certificate ► TrustBundle┘                                  └─► audit line and counter
//! ```
//!
//! [`Authority`] is all of it: [`Authority::issue`] answers certificate requests, [`Authority::authenticate`] says who opens a
//! stream. [`CertificateService`] puts gRPC around it, [`server_config`] TLS. Time is an argument, and what is asked of others goes through
//! ports: [`Exists`], [`FetchKeys`], [`ReviewTokens`], [`Signer`].
//!
//! A certificate names who the caller proved to be, never what the request asks for. Private keys of workloads are never seen here.

mod authority;
mod caller;
mod certificate;
mod chain;
mod csr;
mod exists;
mod issuer;
mod limit;
mod moment;
mod refusal;
mod root;
mod secret;
mod service;
mod signer;
mod telemetry;
mod tls;
mod token;
mod trust;

pub use authority::{Authority, INSTANCE_ID, Ports, Settings};
pub use caller::{Bound, Caller, ObjectUid, Proof, Proven};
pub use certificate::{CertificateError, INSTANCE_ID_OID, WorkloadCertificate, fingerprint};
pub use chain::{Chain, PemError, certificates};
pub use csr::{Csr, CsrError};
pub use exists::{Answer, Everybody, Existence, Exists, ExistsError};
pub use issuer::{IssuerError, LocalIssuer, TokenSpec, stable_uid};
pub use limit::RateLimit;
pub use refusal::Refusal;
pub use root::{Root, RootError, Roots, RotationPolicy, Step};
pub use secret::Secret;
pub use service::{CertificateService, Clock, PeerAddress, PeerCertificates, proof};
pub use signer::{
    CaCerts, CaCertsError, IssueRequest, Issued, Issuing, LocalSigner, ServerNames, Signer, SignerError, Subject,
};
pub use telemetry::Telemetry;
pub use tls::{ClientCertificates, ServerCertificate, ServerError, server_config};
pub use token::{
    FetchError, FetchKeys, Jwks, JwksError, KeyRing, ReviewError, ReviewTokens, TokenRules, TokenVerifier,
    TrustedIssuer,
};
pub use trust::TrustBundle;
