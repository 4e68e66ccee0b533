//! The server's own certificate.

use crate::{Chain, Csr, CsrError, IssueRequest, ServerNames, Signer, SignerError, Subject};
use arc_swap::ArcSwap;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::PrivateKeyDer;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Of the server's certificate.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// It begins in the past, for clients whose clock is behind.
const BACKDATE: Duration = Duration::from_secs(120);

/// The server has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The signer did not sign it.
    #[error("no certificate for the server: {0}")]
    Signer(#[from] SignerError),
    /// Its key or request could not be made.
    #[error("no certificate request for the server: {0}")]
    Request(#[from] rcgen::Error),
    /// Its request was not accepted.
    #[error("no certificate request for the server: {0}")]
    Csr(#[from] CsrError),
    /// TLS does not take the key.
    #[error("the server's key is not accepted: {0}")]
    Key(#[from] rustls::Error),
}

/// The certificate that the server shows, whatever name the client asks for. Renewed by whoever holds it: when
/// [`due`](Self::due) says so, [`renew`](Self::renew).
pub struct ServerCertificate {
    names: ServerNames,
    shown: ArcSwap<Shown>,
}

struct Shown {
    key: Arc<CertifiedKey>,
    /// The signer's chain of then: another one means that another authority signs.
    chain: Arc<Chain>,
    renew_at: SystemTime,
}

impl ServerCertificate {
    /// Gets a certificate for these names, with a key of its own.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn obtain(signer: &dyn Signer, names: ServerNames, now: SystemTime) -> Result<Self, ServerError> {
        let shown = Shown::obtain(signer, &names, now).await?;
        Ok(Self { names, shown: ArcSwap::from_pointee(shown) })
    }

    /// Whether it is time for another: at two thirds of its life, or since the root was rotated.
    pub fn due(&self, signer: &dyn Signer, now: SystemTime) -> bool {
        let shown = self.shown.load();
        now >= shown.renew_at || !Arc::ptr_eq(&shown.chain, &signer.chain())
    }

    /// Gets another, which handshakes from then on show.
    ///
    /// # Errors
    /// [`ServerError`]; the old one is shown then as before.
    pub async fn renew(&self, signer: &dyn Signer, now: SystemTime) -> Result<(), ServerError> {
        self.shown.store(Arc::new(Shown::obtain(signer, &self.names, now).await?));
        Ok(())
    }
}

impl Shown {
    async fn obtain(signer: &dyn Signer, names: &ServerNames, now: SystemTime) -> Result<Self, ServerError> {
        let key = KeyPair::generate()?;
        let csr = Csr::from_der(CertificateParams::default().serialize_request(&key)?.der().to_vec())?;
        let subject = Subject::Server(names.clone());
        let request = IssueRequest { csr: &csr, subject, not_before: now - BACKDATE, not_after: now + LIFETIME };
        let issued = signer.sign(&request).await?;
        let life = issued.not_after.duration_since(now).unwrap_or_default();
        let chain = [issued.leaf].into_iter().chain(issued.chain.ders().iter().cloned()).collect();
        let private =
            PrivateKeyDer::try_from(key.serialize_der()).map_err(|text| rustls::Error::General(text.to_owned()))?;
        let private = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private)?;
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, private)), chain: issued.chain, renew_at: now + life * 2 / 3 })
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.load().key.clone())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}
