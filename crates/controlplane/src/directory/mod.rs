//! A directory of manifests as a source: read whole, then watched; edits apply as they are saved. Never written to.
//!
//! A file is read as soon as a write to it has ended. Where that cannot be known (the write is still open, the file is gone and
//! may come back, the text is broken) what it says well counts at once; what it breaks or no longer says counts only once the
//! file has been quiet for [`SETTLE`]. So an editor that truncates and writes, or moves a file away and writes a new one,
//! neither takes anything down nor raises an alarm. A file that stays broken keeps its last good content and says so.

mod files;
mod last_good;
mod notice;
mod scan;
mod watch;

use crate::{Sink, Source, Store, Update};
use files::{Files, Trust, is_broken};
use last_good::LastGood;
use notice::{Notice, notices};
use scan::{Scan, Stamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tombolo_api::manifest::{self, FileContent};
use tombolo_core::{FieldPath, NamespacedName, ObjectRef, Origin, Problem, Severity, SourceId};
use watch::{Heard, Watch};

/// How long a file must be quiet before what it breaks or leaves out counts.
pub const SETTLE: Duration = Duration::from_millis(200);
/// How often to look whether anybody still listens, and for a directory that cannot be watched.
const TICK: Duration = Duration::from_secs(1);

/// How often to look at everything, told or not: network file systems do not tell, and a watch on a new directory may begin too
/// late for what was first written there.
const RESCAN: Duration = Duration::from_secs(5);

/// A directory of manifests.
pub struct Directory {
    root: PathBuf,
    id: SourceId,
    store: Option<Arc<dyn Store>>,
}

impl Directory {
    /// All `*.yaml`, `*.yml` and `*.json` in a directory and below; hidden ones are left out.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let id = root.canonicalize().unwrap_or_else(|_| root.clone());
        Self { id: SourceId::new(id.display().to_string()), root, store: None }
    }

    /// Remembers the last good content of broken files here, across restarts.
    #[must_use]
    pub fn remembering(self, store: Arc<dyn Store>) -> Self {
        Self { store: Some(store), ..self }
    }
}

impl Source for Directory {
    fn id(&self) -> SourceId {
        self.id
    }

    fn run(self: Box<Self>, sink: Sink) {
        let mut reader = Reader::new(self.root, self.id, LastGood::new(self.store));
        while !sink.is_closed() {
            let update = reader.step();
            if !update.is_empty() && sink.send(update).is_err() {
                return;
            }
        }
    }
}

/// Reads files and directories once, without watching them: for `validate` and `translate`.
pub fn read_once(paths: &[PathBuf], source: SourceId) -> io::Result<Contents> {
    let mut files = Files::new(source);
    let mut edits = Vec::new();
    for path in paths {
        let error = |e: io::Error| io::Error::new(e.kind(), format!("cannot read {}: {e}", path.display()));
        if path == Path::new("-") {
            let content = manifest::read(&read_input().map_err(error)?, "-");
            edits.extend(files.take("-", content, Trust::Settled));
            continue;
        }
        let found = if path.is_dir() { scanned(path)? } else { vec![path.clone()] };
        for file in found {
            let name = file.display().to_string();
            edits.extend(files.take(&name, read_file(&file, &name).map_err(error)?.1, Trust::Settled));
        }
    }
    Ok(Contents { problems: files.problems(&BTreeSet::new()), foreign: files.foreign(), edits })
}

/// What [`read_once`] read.
#[derive(Debug)]
pub struct Contents {
    /// Every object, and where it stands.
    pub edits: Vec<crate::Edit>,
    /// What is wrong with the manifests.
    pub problems: BTreeSet<Problem>,
    /// How many documents are of kinds that no mesh reads, such as Deployments: passed over.
    pub foreign: usize,
}

fn scanned(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let scan = Scan::of(directory)?;
    match scan.errors.into_iter().next() {
        Some((path, error)) => Err(io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))),
        None => Ok(scan.files.into_keys().collect()),
    }
}

fn read_input() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(io::stdin().lock(), manifest::MAX_FILE as u64 + 1), &mut bytes)?;
    Ok(bytes)
}

/// Reads a manifest: its bytes, and what they say. One that is too large is not read into memory, and the content says so.
fn read_file(path: &Path, name: &str) -> io::Result<(Vec<u8>, FileContent)> {
    let limit = manifest::MAX_FILE as u64 + 1;
    let mut bytes = Vec::new();
    let length = fs::metadata(path)?.len();
    if length >= limit {
        let message = format!("the file has {} MB; at most {} are read", length >> 20, manifest::MAX_FILE >> 20);
        let problems = vec![file_problem(name, "UnreadableFile", message, "split it")];
        return Ok((bytes, FileContent { decoded: Vec::new(), problems, complete: false }));
    }
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, limit), &mut bytes)?;
    let content = manifest::read(&bytes, name);
    Ok((bytes, content))
}

fn file_problem(name: &str, reason: &'static str, message: String, fix: &str) -> Problem {
    let nobody = ObjectRef::new("", NamespacedName::new("", ""));
    Problem::error(nobody, FieldPath::root(), reason, message).fix(fix).at(Origin { file: name.into(), line: 0 })
}

/// Which directory stands at a path.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The state of a watched directory.
struct Reader {
    root: PathBuf,
    files: Files,
    last_good: LastGood,
    stamps: BTreeMap<PathBuf, Stamp>,
    /// Files that are not settled, and when they will be if they stay quiet.
    unsettled: BTreeMap<PathBuf, Instant>,
    /// When to look at everything again.
    rescan_due: Instant,
    /// What is wrong with the directory itself, or with parts of it.
    trouble: BTreeSet<Problem>,
    /// What was last said to be wrong.
    said: Option<BTreeSet<Problem>>,
    watch: Option<Watch>,
    /// Which directory the watch is on.
    watched: Option<(u64, u64)>,
    synced: bool,
}

impl Reader {
    fn new(root: PathBuf, source: SourceId, last_good: LastGood) -> Self {
        let (stamps, unsettled, trouble, said) = Default::default();
        let rescan_due = Instant::now();
        Self {
            root,
            files: Files::new(source),
            last_good,
            stamps,
            unsettled,
            rescan_due,
            trouble,
            said,
            watch: None,
            watched: None,
            synced: false,
        }
    }

    /// Waits until there is something to say, or a while has passed.
    fn step(&mut self) -> Update {
        let mut update = Update::default();
        let Some(watch) = &self.watch else {
            if self.synced || self.said.is_some() {
                std::thread::sleep(TICK); // no watch yet: there is nothing to wait on but time
            }
            self.begin(&mut update);
            return self.finish(update);
        };
        let next = self.unsettled.values().copied().min().map_or(self.rescan_due, |due| due.min(self.rescan_due));
        let next = next.saturating_duration_since(Instant::now());
        match watch.wait(next.min(TICK)) {
            Heard::Event(event) => self.heard(notices(&event, &self.root), &mut update),
            Heard::Lost => self.rescan(&mut update),
            Heard::Quiet if self.rescan_due <= Instant::now() => self.rescan(&mut update),
            // A directory that was put back is another one, and the watch is on what it was.
            Heard::Quiet if self.watched != identity(&self.root) => self.begin(&mut update),
            Heard::Quiet => {}
        }
        self.settle(&mut update);
        self.finish(update)
    }

    /// Watches first, then reads: what changes in between is seen twice rather than never.
    fn begin(&mut self, update: &mut Update) {
        self.watched = identity(&self.root);
        let watch = Watch::on(&self.root);
        let unwatched = watch.as_ref().err().map(|error| {
            let message = format!("cannot be watched: {error} (looked at once a second instead)");
            let fix = "raise fs.inotify.max_user_watches";
            let mut problem = file_problem(&self.root.display().to_string(), "NotWatched", message, fix);
            problem.severity = Severity::Warning;
            problem
        });
        self.watch = watch.ok();
        self.rescan(update);
        if self.root.is_dir() {
            self.trouble.extend(unwatched);
        }
    }

    fn heard(&mut self, notices: Vec<Notice>, update: &mut Update) {
        for notice in notices {
            match notice {
                Notice::Written(path) => self.read(&path, Trust::Provisional, update),
                Notice::Unsettled(path) => drop(self.unsettled.insert(path, Instant::now() + SETTLE)),
                Notice::Rescan => {
                    self.rescan(update);
                    self.rescan_due = Instant::now() + SETTLE;
                    return;
                }
            }
        }
    }

    /// Reads what has been quiet for long enough.
    fn settle(&mut self, update: &mut Update) {
        let now = Instant::now();
        let due: Vec<PathBuf> = self.unsettled.iter().filter(|(_, t)| **t <= now).map(|(p, _)| p.clone()).collect();
        if due.is_empty() {
            return;
        }
        if !self.root.is_dir() {
            self.unsettled.clear();
            return self.lost("the directory is gone");
        }
        for path in due {
            self.unsettled.remove(&path);
            self.read(&path, Trust::Settled, update);
        }
    }

    /// Looks at everything, and reads what is not as it was.
    fn rescan(&mut self, update: &mut Update) {
        self.rescan_due = Instant::now() + RESCAN;
        let scan = match Scan::of(&self.root) {
            Ok(scan) => scan,
            Err(error) => return self.lost(&format!("cannot read the directory: {error}")),
        };
        let cannot = |(path, error): &(PathBuf, io::Error)| {
            let message = format!("cannot be read: {error} (what was read there before keeps serving)");
            file_problem(&path.display().to_string(), "UnreadableFile", message, "make it readable")
        };
        self.trouble = scan.errors.iter().map(cannot).collect();
        if let Some(watch) = &mut self.watch {
            watch.outside(scan.outside);
        }
        let trust = if self.synced { Trust::Provisional } else { Trust::Settled };
        for (path, stamp) in &scan.files {
            if self.stamps.get(path) != Some(stamp) {
                self.read(path, trust, update);
            }
        }
        let hidden = |path: &Path| scan.errors.iter().any(|(lost, _)| path.starts_with(lost));
        let known: Vec<PathBuf> = self.files.paths().map(|p| PathBuf::from(&**p)).collect();
        for gone in known.into_iter().filter(|path| !scan.files.contains_key(path) && !hidden(path)) {
            self.unsettled.entry(gone).or_insert_with(|| Instant::now() + SETTLE);
        }
        update.synced |= !self.synced;
        self.synced = true;
    }

    /// The directory cannot be seen: all that it held stays, and it is looked for again.
    fn lost(&mut self, what: &str) {
        let kept = if self.synced { " (its last good content keeps serving)" } else { "" };
        let name = self.root.display().to_string();
        self.trouble = [file_problem(&name, "DirectoryLost", format!("{what}{kept}"), "put it back")].into();
        self.watch = None;
    }

    fn read(&mut self, path: &Path, trust: Trust, update: &mut Update) {
        let name = path.display().to_string();
        let stamp = fs::metadata(path).map(|metadata| Stamp::of(&metadata));
        match read_file(path, &name) {
            Ok((bytes, content)) => {
                if let Ok(stamp) = stamp {
                    self.stamps.insert(path.to_owned(), stamp);
                }
                self.take(path, &name, bytes, content, trust, update);
            }
            Err(_) if trust == Trust::Provisional => self.wait_for(path, true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.stamps.remove(path);
                self.last_good.forget(path);
                update.edits.extend(self.files.remove(&name));
            }
            Err(error) => {
                let message = format!("cannot be read: {error} (what it held before keeps serving)");
                self.files.unreadable(&name, file_problem(&name, "UnreadableFile", message, "make it readable"));
            }
        }
    }

    fn take(
        &mut self,
        path: &Path,
        name: &str,
        bytes: Vec<u8>,
        content: FileContent,
        trust: Trust,
        update: &mut Update,
    ) {
        let broken = is_broken(&content);
        match trust {
            _ if !broken => self.last_good.good(path, bytes),
            Trust::Provisional => {}
            Trust::Settled if self.synced => self.last_good.broken(path),
            Trust::Settled => {
                let before = self.last_good.recall(path).map(|bytes| manifest::read(bytes, name));
                let before = before.map(|content| self.files.take(name, content, Trust::Settled));
                update.edits.extend(before.unwrap_or_default());
            }
        }
        let provisional = trust == Trust::Provisional && (broken || self.files.empties(name, &content));
        let trust = if provisional { Trust::Provisional } else { Trust::Settled };
        update.edits.extend(self.files.take(name, content, trust));
        self.wait_for(path, provisional);
    }

    fn wait_for(&mut self, path: &Path, doubtful: bool) {
        if doubtful {
            self.unsettled.insert(path.to_owned(), Instant::now() + SETTLE);
        } else {
            self.unsettled.remove(path);
        }
    }

    /// Adds what is wrong now, if that is different from what was said last.
    fn finish(&mut self, mut update: Update) -> Update {
        let leaving: BTreeSet<Arc<str>> = self.unsettled.keys().map(|p| p.display().to_string().into()).collect();
        let mut problems = self.files.problems(&leaving);
        problems.extend(self.trouble.iter().cloned());
        if self.said.as_ref() != Some(&problems) {
            self.said = Some(problems.clone());
            update.problems = Some(problems);
        }
        update
    }
}
