//! Identities in three files, as Istio's agents and others exchange them.

use super::{Material, MaterialError, PrivateKey, material::MOST_BYTES};
use crate::state::{self, StateError};
use std::{path::Path, time::SystemTime};

const KEY: &str = "key.pem";
const CHAIN: &str = "cert-chain.pem";
/// The name of the file with the mesh's roots.
pub const ROOTS: &str = "root-cert.pem";

/// Why three files are no identity.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// One is not text.
    #[error("{0} is not text")]
    NotText(&'static str),
    /// Some are there, others not.
    #[error("{0} is missing: the directory needs {KEY}, {CHAIN} and {ROOTS}")]
    Missing(&'static str),
    /// They do not belong together; perhaps they are being replaced.
    #[error(transparent)]
    Material(#[from] MaterialError),
}

/// The identity of a directory. `None` where it has none of the three files.
///
/// # Errors
/// [`FilesError`]
pub(crate) fn load(directory: &Path, now: SystemTime) -> Result<Option<Material>, FilesError> {
    match (text(directory, KEY)?, text(directory, CHAIN)?, text(directory, ROOTS)?) {
        (Some(key), Some(chain), Some(roots)) => Ok(Some(Material::new(PrivateKey::new(key), &chain, &roots, now)?)),
        // Roots alone are how a machine begins.
        (None, None, _) => Ok(None),
        (None, _, _) => Err(FilesError::Missing(KEY)),
        (_, None, _) => Err(FilesError::Missing(CHAIN)),
        (_, _, None) => Err(FilesError::Missing(ROOTS)),
    }
}

/// Whether a directory has all of the three files.
pub(crate) fn are_there(directory: &Path) -> bool {
    [KEY, CHAIN, ROOTS].iter().all(|name| directory.join(name).is_file())
}

/// Writes the three files, each whole. Who reads them between two of them finds a key that does not fit, and tries again.
///
/// # Errors
/// [`StateError`]
pub(crate) fn save(directory: &Path, material: &Material) -> Result<(), StateError> {
    state::replace(directory, ROOTS, material.roots().as_bytes())?;
    state::replace(directory, CHAIN, material.chain().as_bytes())?;
    state::replace(directory, KEY, material.key().pem().as_bytes())
}

fn text(directory: &Path, name: &'static str) -> Result<Option<String>, FilesError> {
    let bytes = state::read(&directory.join(name), MOST_BYTES as u64)?;
    bytes.map(|bytes| String::from_utf8(bytes).map_err(|_| FilesError::NotText(name))).transpose()
}
