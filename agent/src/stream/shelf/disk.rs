//! A shelf that outlives the process. Memory holds an index, the log the rest.

use super::{
    Keep, Kind, Memory, Name, Shelf,
    index::{Entry, Index},
    log::{self, Record},
    secret::is_private,
};
use crate::stream::{settings::Cache, version::Version, wire::Resource};
use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, BufReader, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const FILE: &str = "config.log";
const NEW: &str = "config.log.new";
/// Less garbage is not worth a new file.
const MIN_GARBAGE: u64 = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    owner: String,
    /// Private keys may be written.
    memory_backed: bool,
    file: File,
    /// Where the next record goes.
    end: u64,
    /// Bytes of records that count.
    live: u64,
    index: HashMap<Kind, Index>,
    /// What is not to be written, and what could not be.
    memory: Memory,
    /// Something was written since the last [`Sync`].
    dirty: bool,
    /// The file is a new one that does not have its name yet.
    unnamed: Arc<AtomicBool>,
    /// Writing failed, and that was said.
    failing: bool,
}

/// What makes the log last; it may take a while, and is done on a thread of its own.
#[derive(Debug)]
pub(crate) struct Sync {
    file: File,
    rename: Option<Rename>,
}

/// A new log gets its name.
#[derive(Debug)]
struct Rename {
    directory: PathBuf,
    unnamed: Arc<AtomicBool>,
}

impl Sync {
    /// Returns once it is on the disk.
    pub(crate) fn run(self) -> io::Result<()> {
        self.file.sync_data()?;
        if let Some(Rename { directory, unnamed }) = self.rename {
            fs::rename(directory.join(NEW), directory.join(FILE))?;
            unnamed.store(false, Ordering::Release);
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

impl Disk {
    /// Reads the log of a directory, which is made where there is none. What cannot be read is passed over, and that is logged.
    ///
    /// # Errors
    /// There is no file that can be written, nor can one be made.
    pub(crate) fn open(cache: &Cache) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&cache.directory)?;
        match fs::remove_file(cache.directory.join(NEW)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let path = cache.directory.join(FILE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let mut disk = Self {
            directory: cache.directory.clone(),
            owner: cache.owner.clone(),
            memory_backed: cache.memory_backed,
            file,
            end: 0,
            live: 0,
            index: HashMap::new(),
            memory: Memory::default(),
            dirty: false,
            unnamed: Arc::default(),
            failing: false,
        };
        let secrets = disk.load(&path)?;
        if secrets || disk.garbage() > disk.live.max(MIN_GARBAGE) {
            // On a full disk what was kept is worth more than the room that it takes.
            if let Err(error) = disk.compact().and_then(|()| disk.sync().map_or(Ok(()), Sync::run)) {
                disk.report(Some(&error));
            }
        }
        Ok(disk)
    }

    /// Returns whether there are private keys that must not be there.
    fn load(&mut self, path: &Path) -> io::Result<bool> {
        let mut reader = BufReader::with_capacity(64 << 10, self.file.try_clone()?);
        let (mut index, mut live, mut secrets) = (std::mem::take(&mut self.index), 0, false);
        let size = self.file.metadata()?.len();
        let scan = log::scan(&mut reader, &self.owner, |record, offset, len| match record {
            Record::Put(kind, resource) if self.memory_backed || !is_private(&kind, &resource) => {
                let entry = Entry { version: resource.version, offset, len };
                live += u64::from(len);
                let replaced = insert(&mut index, &kind, &resource.name, &entry);
                live -= replaced.map_or(0, |entry| u64::from(entry.len));
            }
            record => {
                secrets |= matches!(record, Record::Put(..));
                let (Record::Put(kind, Resource { name, .. }) | Record::Remove(kind, name)) = record;
                let removed = index.get_mut(&*kind).and_then(|entries| entries.remove(&name));
                live -= removed.map_or(0, |entry| u64::from(entry.len));
            }
        });
        (self.index, self.live, self.end) = (index, live, scan.good);
        if let Some(fault) = scan.fault.filter(|_| size > 0) {
            let (at, path) = (scan.good, path.display());
            tracing::warn!("what Envoy accepted before is read from {path} up to byte {at} of {size}: {fault}");
        }
        self.file.set_len(self.end)?;
        if self.end == 0 {
            let header = log::header(&self.owner);
            self.file.write_all_at(&header, 0)?;
            self.end = header.len() as u64;
        }
        Ok(secrets)
    }

    fn garbage(&self) -> u64 {
        self.end.saturating_sub(self.live)
    }

    /// What is to be done for everything that was accepted so far to last; `None` where it does.
    pub(crate) fn sync(&mut self) -> Option<Sync> {
        let unnamed = self.unnamed.load(Ordering::Acquire);
        if !std::mem::take(&mut self.dirty) && !unnamed {
            return None;
        }
        let file = self.file.try_clone().ok()?;
        let rename = unnamed.then(|| Rename { directory: self.directory.clone(), unnamed: self.unnamed.clone() });
        Some(Sync { file, rename })
    }

    fn append(&mut self, record: &[u8]) -> io::Result<u64> {
        let offset = self.end;
        if let Err(error) = self.file.write_all_at(record, offset) {
            // Half a record is the end of what is read.
            _ = self.file.set_len(offset);
            return Err(error);
        }
        self.end += record.len() as u64;
        self.dirty = true;
        Ok(offset)
    }

    /// Says once that writing fails, or that it does again what it should.
    fn report(&mut self, error: Option<&io::Error>) {
        let was_failing = std::mem::replace(&mut self.failing, error.is_some());
        match error {
            Some(error) if !was_failing => {
                let directory = self.directory.display();
                tracing::error!(
                    "what Envoy accepts is not kept in {directory}, an Envoy that starts while the control plane \
                    is away will lack it: {error}"
                );
            }
            None if was_failing => tracing::info!("what Envoy accepts is kept again"),
            _ => {}
        }
    }

    /// Writes what counts to a new file, which gets its name once it is on the disk.
    fn compact(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let path = self.directory.join(NEW);
        let new = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let header = log::header(&self.owner);
        let (mut end, mut live) = (header.len() as u64, 0);
        let mut index = HashMap::new();
        let mut writer = BufWriter::with_capacity(64 << 10, new.try_clone()?);
        writer.write_all(&header)?;
        let mut record = Vec::new();
        for (kind, entries) in &self.index {
            for (name, entry) in entries.iter() {
                record.resize(entry.len as usize, 0);
                self.file.read_exact_at(&mut record, entry.offset)?;
                writer.write_all(&record)?;
                let entry = Entry { offset: end, ..entry };
                (end, live) = (end + u64::from(entry.len), live + u64::from(entry.len));
                insert(&mut index, kind, &name, &entry);
            }
        }
        writer.flush()?;
        (self.file, self.end, self.live, self.index) = (new, end, live, index);
        self.dirty = true;
        self.unnamed.store(true, Ordering::Release);
        Ok(())
    }

    fn compact_if_due(&mut self) {
        // A file that has no name yet is not replaced: the one before it would be lost.
        if self.unnamed.load(Ordering::Acquire) || self.garbage() <= self.live.max(MIN_GARBAGE) {
            return;
        }
        if let Err(error) = self.compact() {
            self.report(Some(&error));
        }
    }

    fn drop_entry(&mut self, kind: &str, name: &str) -> bool {
        let removed = self.index.get_mut(kind).and_then(|entries| entries.remove(name));
        self.live -= removed.as_ref().map_or(0, |entry| u64::from(entry.len));
        removed.is_some()
    }

    fn read(&self, entry: &Entry) -> Result<Resource, log::LogError> {
        let mut frame = vec![0; entry.len as usize];
        self.file.read_exact_at(&mut frame, entry.offset)?;
        match log::read_record(&frame.into())? {
            Record::Put(_, resource) => Ok(resource),
            Record::Remove(..) => Err(log::LogError::Malformed),
        }
    }
}

fn insert(index: &mut HashMap<Kind, Index>, kind: &str, name: &str, entry: &Entry) -> Option<Entry> {
    if !index.contains_key(kind) {
        index.insert(kind.into(), Index::default());
    }
    index.get_mut(kind)?.insert(name, entry)
}

impl Shelf for Disk {
    fn version(&self, kind: &str, name: &str) -> Option<Version> {
        let entry = self.index.get(kind).and_then(|entries| entries.get(name));
        entry.map(|entry| entry.version).or_else(|| self.memory.version(kind, name))
    }

    fn get(&mut self, kind: &str, name: &str) -> Option<Resource> {
        let Some(entry) = self.index.get(kind).and_then(|entries| entries.get(name)) else {
            return self.memory.get(kind, name);
        };
        match self.read(&entry) {
            Ok(resource) => Some(resource),
            Err(error) => {
                tracing::warn!(r#type = kind, "{name:?}, which was accepted before, is lost: {error}");
                self.drop_entry(kind, name);
                None
            }
        }
    }

    fn put(&mut self, kind: &Kind, resource: Resource) {
        if !self.memory_backed && is_private(kind, &resource) {
            // What was public under this name counts no more.
            self.remove(kind, &resource.name);
            return self.memory.put(kind, resource);
        }
        let record = log::put(kind, &resource.bytes);
        match self.append(&record) {
            Ok(offset) => {
                self.report(None);
                self.memory.remove(kind, &resource.name);
                let len = u32::try_from(record.len()).unwrap_or(u32::MAX);
                self.drop_entry(kind, &resource.name);
                self.live += u64::from(len);
                let entry = Entry { version: resource.version, offset, len };
                insert(&mut self.index, kind, &resource.name, &entry);
                self.compact_if_due();
            }
            Err(error) => {
                self.report(Some(&error));
                self.drop_entry(kind, &resource.name);
                self.memory.put(kind, resource);
            }
        }
    }

    fn remove(&mut self, kind: &str, name: &str) {
        self.memory.remove(kind, name);
        if self.drop_entry(kind, name) {
            let outcome = self.append(&log::remove(kind, name));
            self.report(outcome.err().as_ref());
            self.compact_if_due();
        }
    }

    fn names(&self, kind: &str) -> Vec<Name> {
        let entries = self.index.get(kind).into_iter().flat_map(|entries| entries.iter().map(|(name, _)| name));
        entries.chain(self.memory.names(kind)).collect()
    }
}

impl Keep for Disk {
    fn size(&self) -> (usize, usize) {
        let (count, bytes) = self.memory.size();
        let live = usize::try_from(self.live).unwrap_or(usize::MAX);
        (count + self.index.values().map(Index::len).sum::<usize>(), bytes.saturating_add(live))
    }

    fn count(&self, kind: &str) -> usize {
        self.index.get(kind).map_or(0, Index::len) + self.memory.count(kind)
    }

    fn sync(&mut self) -> Option<Sync> {
        Self::sync(self)
    }
}

#[cfg(test)]
mod tests;
