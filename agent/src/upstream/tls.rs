//! TLS to the control plane: its certificate is checked against the mesh's roots, ours is shown.

use crate::{
    identity::{MaterialError, Proof, certificates},
    state::{self, StateError},
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    sign::SingleCertAndKey,
    version::{TLS12, TLS13},
};
use rustls_pki_types::CertificateDer;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// HTTP/2 over TLS (RFC 9113, section 3.2).
const H2: &[u8] = b"h2";
const MOST_BYTES: u64 = 256 * 1024;

/// Why there are no roots to trust.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The file is something else.
    #[error("{}: {error}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: MaterialError,
    },
    /// There are none at all.
    #[error("no root is known: put the mesh's root-cert.pem at {}", .0.display())]
    None(PathBuf),
}

/// Why TLS cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Nobody to trust.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The library does not like the settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// For one connection: roots and certificates change between connections.
pub(super) fn client(roots: &Path, proof: &Proof) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        // Our servers choose 1.3. Those of others, behind which an agent may be put too, may have been told to keep to 1.2.
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(trusted(roots, proof)?);
    let shown = proof.held.as_ref().filter(|_| proof.show);
    let mut config = match shown {
        Some(material) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from((*material.certified()).clone())))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![H2.to_vec()];
    // A session would prove who we were.
    config.resumption = Resumption::disabled();
    Ok(config.into())
}

/// The roots of the file and those that came with the newest certificate. The file may be older, or newer: a machine that slept
/// through a rotation is given a new one.
fn trusted(file: &Path, proof: &Proof) -> Result<RootCertStore, RootsError> {
    let mut store = RootCertStore::empty();
    let mut add = |text: &str| -> Result<(), MaterialError> {
        let ders = certificates(text, "roots")?.into_iter().map(|pem| CertificateDer::from(pem.into_contents()));
        store.add_parsable_certificates(ders);
        Ok(())
    };
    let invalid = |error| RootsError::Invalid { path: file.to_owned(), error };
    let of_file = state::read(file, MOST_BYTES)
        .map_err(RootsError::from)
        .and_then(|bytes| add(&String::from_utf8_lossy(&bytes.unwrap_or_default())).map_err(invalid));
    if let Some(material) = &proof.held {
        add(material.roots()).map_err(invalid)?;
    }
    match of_file {
        Err(error) if store.is_empty() => Err(error),
        _ if store.is_empty() => Err(RootsError::None(file.to_owned())),
        Err(error) => {
            tracing::warn!("only the roots that came with the certificate are trusted: {error}");
            Ok(store)
        }
        Ok(()) => Ok(store),
    }
}
