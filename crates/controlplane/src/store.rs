//! What a control plane must remember across restarts, beside the objects.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::sync::watch;

/// Remembers small values by name. A name is a file name: no slashes.
///
/// Several processes may share one. Then one of them at a time writes, the others follow, and a write is one to what was read:
/// where somebody else wrote meanwhile, it is a [`StoreError::Conflict`].
pub trait Store: Send + Sync {
    /// What was last written, if anything.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Remembers. Once this returns the value survives a crash; before, the old one does. Never anything between.
    fn write(&self, name: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Forgets.
    fn remove(&self, name: &str) -> Result<(), StoreError>;
    /// Whether it is this process that writes now.
    fn is_ours(&self) -> bool {
        true
    }
    /// Tells when somebody else may have written; `None` where nobody else does.
    fn changes(&self) -> Option<watch::Receiver<()>> {
        None
    }
}

/// Something could not be remembered.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It was tried.
    #[error("cannot {what} {place}: {source}")]
    Failed {
        /// What was tried, such as `write`.
        what: &'static str,
        /// Where: a file, or an object.
        place: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else wrote meanwhile.
    #[error("{0} was written by somebody else meanwhile: it is read again")]
    Conflict(String),
}

/// A directory that only its owner can look into.
#[derive(Debug)]
pub struct FileStore {
    root: PathBuf,
}

impl FileStore {
    /// Opens a state directory; makes it, and its parents, where it is not there. It is closed to everybody else.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&root);
        made.map_err(failed("make", &root))?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).map_err(failed("close to others", &root))?;
        Ok(Self { root })
    }

    /// The directory, for what is not a small value: sockets, logs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn replace(&self, path: &Path, temporary: &Path, value: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
        file.write_all(value)?;
        file.sync_all()?;
        fs::rename(temporary, path)?;
        File::open(&self.root)?.sync_all()
    }
}

impl Store for FileStore {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.root.join(name);
        match fs::read(&path) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    fn write(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let path = self.root.join(name);
        let temporary = self.root.join(format!(".{name}.new"));
        self.replace(&path, &temporary, value).map_err(failed("write", &path))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let place = path.display().to_string();
    move |source| StoreError::Failed { what, place, source: source.into() }
}

/// A short file name that stands for some texts: the beginning of the first, and a hash of all.
pub fn slug(texts: &[&str]) -> String {
    const READABLE: usize = 16;
    let readable: String = texts[0].chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(READABLE).collect();
    format!("{readable}-{}", hash(texts.join("\n").as_bytes()))
}

/// Twelve letters that are the same on every run and every version (FNV-1a).
pub fn hash(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_replaced_whole_and_closed_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let store = FileStore::open(directory.path().join("a/b")).unwrap();
        assert_eq!(store.read("x").unwrap(), None);
        store.write("x", b"one").unwrap();
        store.write("x", b"2").unwrap();
        assert_eq!(store.read("x").unwrap().unwrap(), b"2");
        assert_eq!(fs::metadata(store.root()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(store.root().join("x")).unwrap().permissions().mode() & 0o777, 0o600);
        store.remove("x").unwrap();
        store.remove("x").unwrap();
        assert_eq!(fs::read_dir(store.root()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = FileStore::open(directory.path()).unwrap();
        store.write("x", b"one").unwrap();
        fs::create_dir(store.root().join(".x.new")).unwrap();
        let error = store.write("x", b"two").unwrap_err();
        assert!(error.to_string().contains("cannot write"), "{error}");
        assert_eq!(store.read("x").unwrap().unwrap(), b"one");
    }

    #[test]
    fn names_are_short_and_differ() {
        let long = "x".repeat(253);
        assert!(slug(&[&long, "shop"]).len() < 32);
        assert_ne!(slug(&[&long, "shop"]), slug(&[&long, "shops"]));
        assert_ne!(slug(&["a", "b\nc"]), slug(&["a", "b", "d"]));
    }
}
