//! What a set of files holds. Pure, so that every order of events can be tried without a disk.

use crate::Edit;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use tombolo_api::{
    AnyObject, ObjectKey,
    manifest::{self, Decoded, FileContent},
};
use tombolo_core::{Origin, Problem, SourceId};

/// How far a reading of a file can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nobody is writing it: what it does not say is not so.
    Settled,
    /// It may be read amid a write: what it says counts, what it does not say or says wrongly may come yet.
    Provisional,
}

/// The objects of all files, each from the first file (by path) that holds it.
pub(super) struct Files {
    source: SourceId,
    files: BTreeMap<Arc<str>, File>,
    /// Which files hold an object: more than one is a mistake, and the first counts.
    holders: HashMap<ObjectKey, BTreeSet<Arc<str>>>,
    contested: BTreeSet<ObjectKey>,
    /// What was last given out.
    served: HashMap<ObjectKey, Held>,
}

#[derive(Default)]
struct File {
    held: BTreeMap<ObjectKey, Held>,
    problems: Vec<Problem>,
    /// Documents of kinds that no mesh reads.
    foreign: usize,
}

#[derive(Clone, PartialEq)]
struct Held {
    object: AnyObject,
    origin: Option<Origin>,
}

impl Files {
    pub(super) fn new(source: SourceId) -> Self {
        let (files, holders, contested, served) = Default::default();
        Self { source, files, holders, contested, served }
    }

    /// Takes in what a file says now.
    pub(super) fn take(&mut self, path: &str, content: FileContent, trust: Trust) -> Vec<Edit> {
        let path: Arc<str> = path.into();
        let old = self.files.remove(&path).unwrap_or_default();
        let (new, before) = self.merge(old, content, trust);
        let touched: BTreeSet<ObjectKey> = before.into_keys().chain(new.held.keys().cloned()).collect();
        self.put(&path, Some(new), touched)
    }

    /// A file is gone, and with it what only it held.
    pub(super) fn remove(&mut self, path: &str) -> Vec<Edit> {
        let path: Arc<str> = path.into();
        let old = self.files.remove(&path).unwrap_or_default();
        self.put(&path, None, old.held.into_keys().collect())
    }

    /// A file is there and cannot be read: what it held stays.
    pub(super) fn unreadable(&mut self, path: &str, problem: Problem) {
        self.files.entry(path.into()).or_default().problems = vec![problem];
    }

    /// True where a reading would empty a file that held something: it may be one amid a write.
    pub(super) fn empties(&self, path: &str, content: &FileContent) -> bool {
        content.decoded.is_empty() && self.files.get(path).is_some_and(|file| !file.held.is_empty())
    }

    /// All that is wrong now. Files in `leaving` are about to go: that others hold the same is no mistake.
    pub(super) fn problems(&self, leaving: &BTreeSet<Arc<str>>) -> BTreeSet<Problem> {
        let own = self.files.values().flat_map(|file| file.problems.iter().cloned());
        let duplicates = self.contested.iter().flat_map(|key| {
            let places: Vec<_> = self.holders[key]
                .iter()
                .filter(|path| !leaving.contains(*path))
                .filter_map(|path| Some((key.reference(), self.files.get(path)?.held.get(key)?.origin.clone()?)))
                .collect();
            manifest::duplicates(&places).into_iter().map(|(_, problem)| problem)
        });
        own.chain(duplicates).collect()
    }

    /// Every file that holds something, or that something is wrong with.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Arc<str>> {
        self.files.keys()
    }

    /// How many documents are of kinds that no mesh reads.
    pub(super) fn foreign(&self) -> usize {
        self.files.values().map(|file| file.foreign).sum()
    }

    /// The file after a reading, and what it held before.
    fn merge(&self, mut old: File, content: FileContent, trust: Trust) -> (File, BTreeMap<ObjectKey, Held>) {
        let mut new = File::default();
        for decoded in content.decoded {
            new.foreign += usize::from(decoded.is_foreign());
            let Some(key) = self.key(&decoded) else {
                new.problems.extend(decoded.problems);
                continue;
            };
            let kept = decoded.object.is_none() && old.held.contains_key(&key);
            new.problems.extend(decoded.problems.into_iter().map(|p| if kept { p.kept("its") } else { p }));
            let held = decoded.object.map(|object| Held { object, origin: decoded.origin });
            if let Some(held) = held.or_else(|| old.held.get(&key).cloned()) {
                new.held.insert(key, held);
            }
        }
        let keep = !content.complete || trust == Trust::Provisional;
        let any = keep && old.held.keys().any(|key| !new.held.contains_key(key));
        new.problems.extend(content.problems.into_iter().map(|p| if any { p.kept("the file's") } else { p }));
        if keep {
            for (key, held) in &old.held {
                new.held.entry(key.clone()).or_insert_with(|| held.clone());
            }
        }
        if trust == Trust::Provisional {
            new.problems = std::mem::take(&mut old.problems);
        }
        (new, old.held)
    }

    fn key(&self, decoded: &Decoded) -> Option<ObjectKey> {
        let named = decoded.is_identified();
        decoded.kind.filter(|_| named).map(|kind| ObjectKey {
            source: self.source,
            kind,
            name: decoded.reference.name.clone(),
        })
    }

    fn put(&mut self, path: &Arc<str>, file: Option<File>, touched: BTreeSet<ObjectKey>) -> Vec<Edit> {
        for key in &touched {
            let holders = self.holders.entry(key.clone()).or_default();
            if file.as_ref().is_some_and(|file| file.held.contains_key(key)) {
                holders.insert(path.clone());
            } else {
                holders.remove(path);
            }
            match holders.len() {
                0 => drop(self.holders.remove(key)),
                1 => drop(self.contested.remove(key)),
                _ => drop(self.contested.insert(key.clone())),
            }
        }
        if let Some(file) = file {
            self.files.insert(path.clone(), file);
        }
        touched.into_iter().filter_map(|key| self.serve(key)).collect()
    }

    /// What is to be said of an object, if anything: the first file that holds it decides.
    fn serve(&mut self, key: ObjectKey) -> Option<Edit> {
        let winner =
            self.holders.get(&key).and_then(BTreeSet::first).and_then(|path| self.files.get(path)?.held.get(&key));
        let Some(winner) = winner else {
            self.contested.remove(&key);
            return self.served.remove(&key).map(|_| Edit::Delete(key));
        };
        let generation = match self.served.get(&key).map(|old| &old.object) {
            Some(old) => old.metadata().generation + i64::from(!old.same_spec(&winner.object)),
            None => 1,
        };
        let object = winner.object.clone().map_metadata(|metadata| metadata.generation = generation);
        let now = Held { object, origin: winner.origin.clone() };
        if self.served.get(&key) == Some(&now) {
            return None;
        }
        self.served.insert(key, now.clone());
        Some(Edit::Apply(now.object, now.origin))
    }
}

/// True where some of a file cannot be used as it stands.
pub(super) fn is_broken(content: &FileContent) -> bool {
    let problems = content.decoded.iter().flat_map(|decoded| &decoded.problems).chain(&content.problems);
    !content.complete || problems.into_iter().any(Problem::is_error)
}

/// Saying that what was there before still counts.
trait Kept {
    fn kept(self, whose: &str) -> Self;
}

impl Kept for Problem {
    fn kept(mut self, whose: &str) -> Self {
        if self.is_error() {
            self.message.push_str(&format!(" ({whose} last good content keeps serving)"));
        }
        self
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
