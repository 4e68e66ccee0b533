//! Text to objects: where everything that can fail, fails.

mod decode;
mod document;
mod duplicates;
mod identity;
pub(crate) mod nearest;
mod parts;
mod strict;
mod wording;

#[cfg(test)]
mod tests;

pub(crate) use decode::Fields;
pub use decode::{Decoded, decode, decode_stored};
pub use document::{Document, MAX_DEPTH, MAX_FILE, MAX_VALUES, documents};
pub use duplicates::duplicates;
pub use parts::{Fault, Parts};

use std::collections::BTreeMap;
use tombolo_core::{ObjectRef, Origin, Problem};

/// What one file holds.
#[derive(Clone, Debug)]
pub struct FileContent {
    /// Its documents, in their order; no two of one object.
    pub decoded: Vec<Decoded>,
    /// What is wrong with the file itself: no YAML, or one object twice. What is wrong with an object stands in [`Decoded`].
    pub problems: Vec<Problem>,
    /// True where it is known of every document which object it is.
    ///
    /// Where false, an object that the file held before and that is not in `decoded` may stand in a part that cannot be read:
    /// it is not to be taken for deleted.
    pub complete: bool,
}

/// Reads a file: YAML or JSON, any number of documents. Never fails, whatever the bytes.
pub fn read(bytes: &[u8], file: &str) -> FileContent {
    let (documents, mut problems) = documents(bytes, file);
    let mut decoded: Vec<Decoded> = documents.into_iter().map(|d| decode(d.value, Some(d.origin))).collect();
    let complete = problems.is_empty() && decoded.iter().all(|d| d.is_foreign() || d.is_identified());
    problems.extend(remove_duplicates(&mut decoded));
    FileContent { decoded, problems, complete }
}

/// Keeps the first of several documents of one object.
fn remove_duplicates(decoded: &mut Vec<Decoded>) -> Vec<Problem> {
    let (indices, objects): (Vec<usize>, Vec<(ObjectRef, Origin)>) = decoded
        .iter()
        .enumerate()
        .filter(|(_, d)| d.kind.is_some() && d.is_identified())
        .filter_map(|(i, d)| Some((i, (d.reference.clone(), d.origin.clone()?))))
        .unzip();
    let later: BTreeMap<usize, Problem> = duplicates(&objects).into_iter().map(|(i, p)| (indices[i], p)).collect();
    let mut i = 0;
    decoded.retain(|_| {
        i += 1;
        !later.contains_key(&(i - 1))
    });
    later.into_values().collect()
}
