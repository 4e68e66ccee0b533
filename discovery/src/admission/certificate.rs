//! The certificate that the API server is shown: read from files, and read again when they change.

use super::metrics::AdmissionMetrics;
use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

/// Between two looks at the files. The kubelet itself takes up to a minute or two to change them.
const LOOK: Duration = Duration::from_secs(5);

/// Why a certificate is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("tls.crt is no list of certificates in PEM: {0}")]
    Certificate(#[source] rustls_pki_types::pem::Error),
    #[error("tls.crt holds no certificate that can be read")]
    Empty,
    #[error("tls.key is no private key in PEM: {0}")]
    Key(#[source] rustls_pki_types::pem::Error),
    #[error("tls.crt and tls.key are of no use together: {0}")]
    Mismatch(#[from] rustls::Error),
}

/// What the files held.
type Content = (Vec<u8>, Vec<u8>);

/// The certificate that handshakes show; none while there is none.
pub(super) struct Shown {
    directory: PathBuf,
    key: ArcSwapOption<CertifiedKey>,
    metrics: AdmissionMetrics,
}

impl Shown {
    pub(super) fn new(directory: PathBuf, metrics: AdmissionMetrics) -> Self {
        Self { directory, key: ArcSwapOption::empty(), metrics }
    }

    async fn read(&self) -> io::Result<Content> {
        let [certificate, key] = ["tls.crt", "tls.key"].map(|name| tokio::fs::read(self.directory.join(name)));
        tokio::try_join!(certificate, key)
    }

    fn show(&self, (certificate, key): &Content) -> Result<(), Unusable> {
        let (key, expires) = parse(certificate, key)?;
        self.key.store(Some(Arc::new(key)));
        self.metrics.expires(expires);
        tracing::info!(expires, "the webhook has a certificate");
        Ok(())
    }
}

/// Reads a certificate with its key, and when it is over, in seconds since the epoch.
fn parse(certificate: &[u8], key: &[u8]) -> Result<(CertifiedKey, i64), Unusable> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(Unusable::Certificate)?;
    let leaf = chain.first().and_then(|leaf| x509_parser::parse_x509_certificate(leaf).ok());
    let expires = leaf.map(|(_, leaf)| leaf.validity().not_after.timestamp()).ok_or(Unusable::Empty)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(Unusable::Key)?;
    Ok((CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?, expires))
}

/// Reads the files whenever they change. What is of no use, or gone, leaves what was there before.
pub(super) async fn follow(shown: &Shown) {
    let mut seen: Option<Content> = None;
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        // Files that are not there are no news: the operator makes them when it gets to it.
        let Ok(content) = shown.read().await else { continue };
        if seen.as_ref() == Some(&content) {
            continue;
        }
        if let Err(error) = shown.show(&content) {
            let directory = shown.directory.display();
            tracing::warn!("the webhook's certificate in {directory} is not used, one before it stays in use: {error}");
        }
        seen = Some(content);
    }
}

/// TLS that shows the certificate and asks for none.
pub(super) fn server_config(shown: Arc<Shown>) -> Result<ServerConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
    let mut config = config.with_no_client_auth().with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.key.load_full()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("directory", &self.directory).finish_non_exhaustive()
    }
}
