//! Which manifests a directory holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Enough of a file to see that it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    len: u64,
    modified: Option<SystemTime>,
}

/// What a walk through a directory found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Manifests, by path.
    pub(super) files: BTreeMap<PathBuf, Stamp>,
    /// What could not be looked at: what was found there before is not to be taken for gone.
    pub(super) errors: Vec<(PathBuf, io::Error)>,
    /// Directories outside that symbolic links lead to: to be watched besides.
    pub(super) outside: BTreeSet<PathBuf>,
}

/// True for what is read: `*.yaml`, `*.yml`, `*.json`, not hidden.
pub(super) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
    extension && !is_hidden(path)
}

/// True for names that begin with a dot: editors' temporary files, `.git`, the `..data` of mounted ConfigMaps.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

impl Stamp {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        let inode = (metadata.dev(), metadata.ino());
        Self { inode, len: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl Scan {
    /// Walks through a directory, symbolic links followed, each directory once. Fails only where the directory itself cannot be read.
    pub(super) fn of(root: &Path) -> io::Result<Self> {
        let mut scan = Self::default();
        let base = root.canonicalize()?;
        let mut seen = BTreeSet::from([base.clone()]);
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            match scan.directory(&directory, &base, &mut seen) {
                Ok(below) => open.extend(below),
                Err(error) if directory == root => return Err(error),
                Err(error) => scan.errors.push((directory, error)),
            }
        }
        Ok(scan)
    }

    fn directory(&mut self, directory: &Path, base: &Path, seen: &mut BTreeSet<PathBuf>) -> io::Result<Vec<PathBuf>> {
        let mut below = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            if is_hidden(&path) {
                continue;
            }
            let metadata = match fs::metadata(&path) {
                Ok(metadata) => metadata,
                // Gone since, or a link that leads nowhere: nothing to read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.errors.push((path, error));
                    continue;
                }
            };
            if entry.file_type()?.is_symlink() {
                self.note_link(&path, base);
            }
            if metadata.is_dir() {
                if seen.insert(path.canonicalize()?) {
                    below.push(path);
                }
            } else if metadata.is_file() && is_manifest(&path) {
                self.files.insert(path, Stamp::of(&metadata));
            }
        }
        Ok(below)
    }

    fn note_link(&mut self, path: &Path, base: &Path) {
        let Ok(target) = path.canonicalize() else { return };
        let directory = if target.is_dir() { Some(&*target) } else { target.parent() };
        if let Some(directory) = directory.filter(|d| !d.starts_with(base)) {
            self.outside.insert(directory.to_owned());
        }
    }
}
