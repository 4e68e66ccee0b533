//! How an identity is kept on disk: key, certificate and roots in one file, so that no crash can leave one without the others.

use super::{Material, MaterialError, PrivateKey};
use crate::state::{StateDir, StateError};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use xxhash_rust::xxh3::Xxh3;
use zeroize::Zeroizing;

/// The file in the state directory.
const FILE: &str = "identity.json";
const FORMAT: u32 = 1;
const MOST_BYTES: u64 = 1 << 20;

/// Why a stored identity is passed over.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// It cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// Somebody else wrote it, or it was damaged.
    #[error("it is not what an agent writes: {0}")]
    Foreign(serde_json::Error),
    /// A later agent wrote it.
    #[error("its format is {0}, and this agent reads {FORMAT}")]
    Format(u32),
    /// Something changed it, such as a failing disk.
    #[error("its checksum is wrong")]
    Damaged,
    /// Its parts do not belong together.
    #[error(transparent)]
    Material(#[from] MaterialError),
}

#[derive(Serialize, Deserialize)]
struct File<T> {
    format: u32,
    /// Of all that follows.
    checksum: u64,
    /// Seconds since 1970.
    obtained: u64,
    key: T,
    chain: T,
    roots: T,
}

impl<T: AsRef<str>> File<T> {
    /// A certificate is signed, but not by anybody whom a start without a network could ask.
    fn checksum(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&self.obtained.to_le_bytes());
        for text in [&self.key, &self.chain, &self.roots] {
            let text = text.as_ref().as_bytes();
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.digest()
    }
}

/// The file's content. It holds the private key.
pub(crate) fn encode(material: &Material) -> Zeroizing<Vec<u8>> {
    let obtained = material.obtained().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (key, chain, roots) = (material.key().pem(), material.chain(), material.roots());
    let mut file = File { format: FORMAT, checksum: 0, obtained, key, chain, roots };
    file.checksum = file.checksum();
    // Texts and numbers can always be written as JSON.
    Zeroizing::new(serde_json::to_vec(&file).unwrap_or_default())
}

/// The identity of a file's content.
///
/// # Errors
/// [`StoredError`] for anything but what [`encode`] wrote.
pub(crate) fn decode(bytes: &[u8]) -> Result<Material, StoredError> {
    let file: File<String> = serde_json::from_slice(bytes).map_err(StoredError::Foreign)?;
    let (format, checksum, expected) = (file.format, file.checksum, file.checksum());
    let key = PrivateKey::new(file.key);
    if format != FORMAT {
        return Err(StoredError::Format(format));
    }
    if checksum != expected {
        return Err(StoredError::Damaged);
    }
    let obtained = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(file.obtained));
    let obtained = obtained.unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Material::new(key, &file.chain, &file.roots, obtained)?)
}

/// The identity that was last kept, if any.
///
/// # Errors
/// [`StoredError`]: it is there, and of no use.
pub(crate) fn load(state: &StateDir) -> Result<Option<Material>, StoredError> {
    state.read(FILE, MOST_BYTES)?.map(|bytes| decode(&Zeroizing::new(bytes))).transpose()
}

/// Keeps an identity: after a crash there is this one, or the one before.
///
/// # Errors
/// [`StateError`]: the one before is still there.
pub(crate) fn save(state: &StateDir, material: &Material) -> Result<(), StateError> {
    state.write(FILE, &encode(material))
}
