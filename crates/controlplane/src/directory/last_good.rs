//! The last good content of files, remembered across restarts for those that are broken: a restart must not take down what a
//! typing mistake did not.

use crate::{Store, store::slug};
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Default)]
pub(super) struct LastGood {
    /// Where it is remembered; without one it ends with this process.
    store: Option<Arc<dyn Store>>,
    contents: HashMap<PathBuf, Vec<u8>>,
    stored: HashSet<PathBuf>,
}

impl LastGood {
    pub(super) fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self { store, ..Self::default() }
    }

    /// Nothing is wrong with the file as it is now.
    pub(super) fn good(&mut self, path: &Path, content: Vec<u8>) {
        self.forget(path);
        if self.store.is_some() {
            self.contents.insert(path.to_owned(), content);
        }
    }

    /// The file is broken: what it held last must survive a restart.
    pub(super) fn broken(&mut self, path: &Path) {
        let (Some(store), Some(content)) = (&self.store, self.contents.get(path)) else { return };
        if self.stored.contains(path) {
            return;
        }
        match store.write(&name(path), content) {
            Ok(()) => drop(self.stored.insert(path.to_owned())),
            Err(error) => tracing::warn!(%error, "a restart will not find the last good content of a broken file"),
        }
    }

    /// What a file held before it was broken, if an earlier process saw that.
    pub(super) fn recall(&mut self, path: &Path) -> Option<&[u8]> {
        if !self.contents.contains_key(path) {
            let content = self.store.as_ref()?.read(&name(path)).ok().flatten()?;
            self.contents.insert(path.to_owned(), content);
            self.stored.insert(path.to_owned());
        }
        self.contents.get(path).map(Vec::as_slice)
    }

    /// The file is good, or gone.
    pub(super) fn forget(&mut self, path: &Path) {
        // An earlier process may have stored what this one has not heard of.
        let unheard_of = self.contents.remove(path).is_none();
        let stored = self.stored.remove(path) || unheard_of;
        if let Some(Err(error)) = self.store.as_ref().filter(|_| stored).map(|store| store.remove(&name(path))) {
            tracing::warn!(%error, "cannot forget the last good content of a file that is mended");
        }
    }
}

fn name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    format!("good-{}", slug(&[&file, &path.display().to_string()]))
}
