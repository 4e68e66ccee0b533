//! The control plane as the one who issues certificates.

use super::Upstream;
use crate::identity::{Authority, Failure, Proof, Reason};
use std::error::Error;
use tombolo_proto::agent::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse};
use tonic::{Code, Status};

impl Authority for Upstream {
    /// On a connection of its own: the certificate that a connection is opened with is what it proves for good.
    async fn certify(&self, request: CertificateRequest, proof: Proof) -> Result<CertificateResponse, Failure> {
        let connection = self.connect_with(&proof).await;
        let connection =
            connection.map_err(|error| Failure { reason: Reason::Unreachable, message: error.to_string() })?;
        connection.unary(CREATE_CERTIFICATE, request).await.map_err(|status| failure(&status))
    }
}

fn failure(status: &Status) -> Failure {
    let reason = match status.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::Unimplemented => Reason::Refused,
        _ => Reason::Unreachable,
    };
    let mut message = match reason {
        Reason::Refused => format!("the control plane refused: {}", status.message()),
        _ => format!("the control plane failed: {}", status.message()),
    };
    let mut source = status.source();
    // Where the connection fails, the reason is the innermost: such as a certificate that the server does not like.
    while let Some(error) = source {
        message = format!("{message}: {error}");
        source = error.source();
    }
    Failure { reason, message }
}
