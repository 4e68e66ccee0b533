//! Who asks, and how that was proven.

use rustls_pki_types::CertificateDer;
use std::{fmt, net::SocketAddr, time::SystemTime};
use tombolo_core::{InstanceId, SpiffeId};

/// Somebody who proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The proven identity. Certificates are issued to it and to nobody else.
    pub id: SpiffeId,
    /// Which instance of the workload, where that is known.
    pub instance: Option<InstanceId>,
    /// By what it was proven.
    pub proven: Proven,
    /// When the proof ends. A stream that was opened with it need not end then: its agent renews, and the next stream proves itself anew.
    pub expires: SystemTime,
}

/// What a caller's identity was proven by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proven {
    /// A ServiceAccount token, and the objects that it is bound to: it counts only while they exist.
    Token(Bound),
    /// A certificate that this mesh issued, by its serial number in hexadecimal.
    Certificate {
        /// The certificate's serial number.
        serial: String,
    },
}

/// The objects that a ServiceAccount token is bound to (Kubernetes' claims `kubernetes.io`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Who issued the token (`iss`), and so where these objects are.
    pub issuer: String,
    /// The ServiceAccount's UID.
    pub service_account: String,
    /// The pod, where the token was projected into one.
    pub pod: Option<ObjectUid>,
    /// The Secret, where the token was bound to one: join tokens of machines are.
    pub secret: Option<ObjectUid>,
}

/// One object of the token's namespace, at one time: another of the same name has another UID.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct ObjectUid {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// What a request brings along to prove who sent it.
#[derive(Clone, Copy, Default)]
pub struct Proof<'a> {
    /// The bearer token of the `authorization` header.
    pub token: Option<&'a str>,
    /// The TLS client's certificates, leaf first. The handshake proved that the client holds the leaf's key; whether the chain counts is
    /// judged here.
    pub chain: &'a [CertificateDer<'static>],
    /// Where it came from, for the audit.
    pub peer: Option<SocketAddr>,
}

impl Proven {
    /// The word of metrics and of the audit.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Certificate { .. } => "certificate",
        }
    }
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("token", &self.token.map(|_| "[redacted]"))
            .field("certificates", &self.chain.len())
            .field("peer", &self.peer)
            .finish()
    }
}
