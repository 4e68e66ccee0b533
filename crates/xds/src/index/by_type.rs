//! Numbers by resource type.

use roaring::RoaringBitmap;
use smallvec::SmallVec;
use std::sync::LazyLock;

/// Sets of numbers by resource type. Most scopes hold resources of two or three types: the others take no room.
#[derive(Default)]
pub(super) struct ByType(SmallVec<[(u8, RoaringBitmap); 0]>);

static NONE: LazyLock<RoaringBitmap> = LazyLock::new(RoaringBitmap::new);

impl ByType {
    /// The numbers of a type.
    pub(super) fn get(&self, kind: usize) -> &RoaringBitmap {
        self.0.iter().find(|(known, _)| usize::from(*known) == kind).map_or(&NONE, |(_, numbers)| numbers)
    }

    pub(super) fn insert(&mut self, kind: usize, number: u32) {
        if let Some((_, numbers)) = self.0.iter_mut().find(|(known, _)| usize::from(*known) == kind) {
            numbers.insert(number);
            return;
        }
        self.0.reserve_exact(1);
        #[expect(clippy::cast_possible_truncation)] // there are a dozen types
        self.0.push((kind as u8, RoaringBitmap::from([number])));
    }

    pub(super) fn remove(&mut self, kind: usize, number: u32) {
        self.0.retain(|(known, numbers)| {
            if usize::from(*known) == kind {
                numbers.remove(number);
            }
            !numbers.is_empty()
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
