//! The state directory: what an agent must remember across restarts, for its owner's eyes alone.
//!
//! It holds private keys, and the sockets by which Envoy gets them. So it is refused where anybody else could have put
//! something into it, rather than used with a warning.

use rustix::fs::FsWord;
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// The longest path of a Unix socket, in bytes (`sockaddr_un` of unix(7), without its final zero).
pub const LONGEST_SOCKET: usize = 107;

/// How often a taken directory is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// Why a state directory, or something in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system said no.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// `read`, `write`, …
        what: &'static str,
        /// What it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else's directory.
    #[error(
        "the state directory {} belongs to user {owner}, and the agent runs as user {user}: run the agent as that user, \
         or choose another state directory",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The user id that it belongs to.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// Keys in it could be anybody's.
    #[error(
        "others may write to the state directory {} (mode {mode:04o}), so what it holds cannot be trusted: empty it and \
         run `chmod 0700` on it, or choose another state directory",
        path.display()
    )]
    Writable {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// One directory, one agent.
    #[error("another agent uses the state directory {}: stop it, or choose another state directory", .0.display())]
    Busy(PathBuf),
    /// Nothing that was written here is so long.
    #[error("{} is longer than {most} bytes and was not written by an agent: remove it", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        most: u64,
    },
    /// No socket can have this path.
    #[error(
        "{} is too long a path for a socket, {length} bytes of at most {LONGEST_SOCKET}: choose a state directory with a \
         shorter path",
        path.display()
    )]
    SocketPath {
        /// The socket.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
}

/// A directory that only its owner can look into, and that is this agent's alone while this lives.
#[derive(Debug)]
pub struct StateDir {
    root: PathBuf,
    memory_backed: bool,
    _lock: File,
}

impl StateDir {
    /// Opens a state directory; makes it, and its parents, where it is not there. Where an agent still has it, which may be
    /// about to end, waits for it for as long as `patience`.
    ///
    /// # Errors
    /// [`StateError`], where it is not ours, or others may write to it, or another agent keeps it.
    pub async fn open(root: impl Into<PathBuf>, patience: Duration) -> Result<Self, StateError> {
        let root = root.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&root).map_err(failed("make", &root))?;
        let root = root.canonicalize().map_err(failed("resolve", &root))?;
        close_to_others(&root)?;
        let lock = lock(&root, Instant::now() + patience).await?;
        let kind = rustix::fs::statfs(&root).map_err(|error| failed("examine", &root)(error.into()))?.f_type;
        Ok(Self { memory_backed: is_memory(kind), root, _lock: lock })
    }

    /// The directory: an absolute path without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether what is written here is gone when the machine stops, so that no disk ever holds it.
    pub const fn memory_backed(&self) -> bool {
        self.memory_backed
    }

    /// Where the socket of a name belongs.
    ///
    /// # Errors
    /// [`StateError::SocketPath`]: sockets have short paths.
    pub fn socket(&self, name: &str) -> Result<PathBuf, StateError> {
        let path = self.root.join(name);
        let length = path.as_os_str().len();
        if length > LONGEST_SOCKET { Err(StateError::SocketPath { path, length }) } else { Ok(path) }
    }

    /// What was last written under a name, if anything; at most so many bytes.
    ///
    /// # Errors
    /// [`StateError::Io`]; [`StateError::TooLong`].
    pub fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, StateError> {
        read(&self.root.join(name), most)
    }

    /// Remembers. Once this returns the value survives a crash; before, the old one does. Never anything between.
    ///
    /// # Errors
    /// [`StateError::Io`]: what was there is still there.
    pub fn write(&self, name: &str, value: &[u8]) -> Result<(), StateError> {
        replace(&self.root, name, value)
    }

    /// Forgets.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

/// A small file, if it is there.
pub(crate) fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StateError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let mut value = Vec::new();
    // One byte more tells a file that is too long from one that just fits.
    file.take(most + 1).read_to_end(&mut value).map_err(failed("read", path))?;
    if value.len() as u64 > most {
        return Err(StateError::TooLong { path: path.to_owned(), most });
    }
    Ok(Some(value))
}

/// Replaces a file by another that only its owner may read: whole, or not at all.
pub(crate) fn replace(directory: &Path, name: &str, value: &[u8]) -> Result<(), StateError> {
    let path = directory.join(name);
    let temporary = directory.join(format!(".{name}.new"));
    let write = || -> io::Result<()> {
        // A new file, always: in a directory of others it could be a link of theirs.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(value)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(failed("write", &path))
}

/// Others may not have been able to write; whether they could read is set right.
fn close_to_others(root: &Path) -> Result<(), StateError> {
    let metadata = fs::metadata(root).map_err(failed("examine", root))?;
    let (owner, user, mode) = (metadata.uid(), rustix::process::geteuid().as_raw(), metadata.mode() & 0o7777);
    if owner != user {
        return Err(StateError::Foreign { path: root.to_owned(), owner, user });
    }
    if mode & 0o022 != 0 {
        return Err(StateError::Writable { path: root.to_owned(), mode });
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o700)).map_err(failed("close to others", root))
}

/// The system gives a lock back when its holder ends, however it ends.
async fn lock(root: &Path, deadline: Instant) -> Result<File, StateError> {
    let path = root.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(failed("write", &path))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(StateError::Busy(root.to_owned()));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(RETRY).await,
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
    }
}

/// `tmpfs` and `ramfs`, by their magic numbers in statfs(2).
const fn is_memory(kind: FsWord) -> bool {
    const TMPFS: FsWord = 0x0102_1994;
    const RAMFS: FsWord = 0x8584_58f6_u32 as FsWord;
    matches!(kind, TMPFS | RAMFS)
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |source| StateError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
