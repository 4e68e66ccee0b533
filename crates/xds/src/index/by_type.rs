//! Numbers by resource type.

use roaring::RoaringBitmap;
use smallvec::SmallVec;
use tombolo_core::Numbers;

/// Sets of numbers by resource type. Most scopes hold resources of two or three types: the others take no room.
#[derive(Default)]
pub(super) struct ByType(SmallVec<[(u8, Numbers); 0]>);

impl ByType {
    /// The numbers of a type, in no order.
    pub(super) fn iter(&self, kind: usize) -> impl Iterator<Item = u32> + '_ {
        self.get(kind).into_iter().flat_map(Numbers::iter)
    }

    /// Adds the numbers of a type to others.
    pub(super) fn add_to(&self, kind: usize, others: &mut RoaringBitmap) {
        self.get(kind).into_iter().for_each(|numbers| numbers.add_to(others));
    }

    fn get(&self, kind: usize) -> Option<&Numbers> {
        self.0.iter().find(|(known, _)| usize::from(*known) == kind).map(|(_, numbers)| numbers)
    }

    pub(super) fn insert(&mut self, kind: usize, number: u32) {
        if let Some((_, numbers)) = self.0.iter_mut().find(|(known, _)| usize::from(*known) == kind) {
            numbers.insert(number);
            return;
        }
        let mut numbers = Numbers::default();
        numbers.insert(number);
        self.0.reserve_exact(1);
        #[expect(clippy::cast_possible_truncation)] // there are a dozen types
        self.0.push((kind as u8, numbers));
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
