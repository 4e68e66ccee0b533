//! Certificates as they are sent: in DER for TLS, in PEM for messages, encoded once.

use rustls_pki_types::CertificateDer;

/// More than any real file holds.
const MAX_CERTIFICATES: usize = 64;
/// More than that many certificates need.
const MAX_BYTES: usize = 512 * 1024;

/// Why a text is not a list of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Too large.
    #[error("it has more than 64 certificates or 512 KiB")]
    Oversized,
    /// Not PEM.
    #[error("it is not PEM")]
    Malformed,
    /// PEM of something else.
    #[error("it holds something else than certificates")]
    Other,
}

/// Certificates in an order, in both encodings.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    ders: Vec<CertificateDer<'static>>,
    pems: Vec<String>,
}

impl Chain {
    /// Of these.
    pub fn new(ders: Vec<CertificateDer<'static>>) -> Self {
        let pems = ders.iter().map(|der| to_pem(der)).collect();
        Self { ders, pems }
    }

    /// In DER.
    pub fn ders(&self) -> &[CertificateDer<'static>] {
        &self.ders
    }

    /// In PEM, one certificate each, ending with a line break so that they can be joined.
    pub fn pems(&self) -> &[String] {
        &self.pems
    }
}

/// One certificate in PEM.
pub(crate) fn to_pem(der: &CertificateDer<'_>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der.as_ref()), config)
}

/// The certificates of a PEM text, in its order.
///
/// # Errors
/// [`PemError`].
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    if text.len() > MAX_BYTES {
        return Err(PemError::Oversized);
    }
    let blocks = pem::parse_many(text).map_err(|_| PemError::Malformed)?;
    if blocks.len() > MAX_CERTIFICATES {
        return Err(PemError::Oversized);
    }
    blocks
        .into_iter()
        .map(|block| if block.tag() == "CERTIFICATE" { Ok(block.into_contents().into()) } else { Err(PemError::Other) })
        .collect()
}
