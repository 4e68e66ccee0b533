//! Which client certificates pass the handshake.

use crate::{Authority, Refusal, Signer, Telemetry, moment};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{fmt, sync::Arc, time::Duration};

/// Checks clients against the roots of the moment. Those that expired within the window pass: renewal is for them, and everything
/// else refuses them.
pub struct ClientCertificates {
    signer: Arc<dyn Signer>,
    rejoin_window: Duration,
    telemetry: Arc<Telemetry>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertificates {
    /// By `authority`'s roots and window.
    pub fn new(authority: &Authority, provider: &CryptoProvider) -> Self {
        Self {
            signer: authority.signer().clone(),
            rejoin_window: authority.settings().rejoin_window,
            telemetry: authority.telemetry().clone(),
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificates").field("rejoin_window", &self.rejoin_window).finish_non_exhaustive()
    }
}

/// The alert that says why. Its details are in the log.
fn alert(refusal: &Refusal) -> Error {
    Error::InvalidCertificate(match refusal {
        Refusal::CertificateExpired(_) | Refusal::RootExpired => CertificateError::Expired,
        Refusal::CertificateNotYetValid(_) => CertificateError::NotValidYet,
        Refusal::ForeignRoot(_) => CertificateError::UnknownIssuer,
        _ => CertificateError::BadEncoding,
    })
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: clients have one certificate, and the roots change.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<CertificateDer<'_>> =
            [end_entity].into_iter().chain(intermediates).map(|der| der.as_ref().into()).collect();
        let now = moment::system(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        match self.signer.trust().verify(&chain, now, self.rejoin_window) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(refusal) => {
                self.telemetry.refused("handshake", None, &refusal, None);
                Err(alert(&refusal))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
