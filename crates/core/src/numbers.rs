//! Sets of numbers.

use roaring::RoaringBitmap;

/// A set of numbers that stand for something, such as connections or resources. Of nearly all such sets there are thousands, with one
/// or two members each, and of some there are few, with thousands: neither takes more room than it needs.
#[derive(Clone, Debug)]
pub struct Numbers(Set);

#[derive(Clone, Debug)]
enum Set {
    /// So many of these, in no order.
    Few(u8, [u32; FEW]),
    Many(Box<RoaringBitmap>),
}

/// What fits where otherwise a pointer and its like would be.
const FEW: usize = 4;

impl Default for Numbers {
    fn default() -> Self {
        Self(Set::Few(0, [0; FEW]))
    }
}

impl Numbers {
    /// Adds a number, if it is not there.
    pub fn insert(&mut self, number: u32) {
        match &mut self.0 {
            Set::Few(len, numbers) if numbers[..usize::from(*len)].contains(&number) => {}
            Set::Few(len, numbers) if usize::from(*len) < FEW => {
                numbers[usize::from(*len)] = number;
                *len += 1;
            }
            Set::Few(_, numbers) => self.0 = Set::Many(Box::new(numbers.iter().copied().chain([number]).collect())),
            Set::Many(numbers) => _ = numbers.insert(number),
        }
    }

    /// Takes a number out, if it is there.
    pub fn remove(&mut self, number: u32) {
        match &mut self.0 {
            Set::Few(len, numbers) => {
                let Some(at) = numbers[..usize::from(*len)].iter().position(|known| *known == number) else { return };
                *len -= 1;
                numbers[at] = numbers[usize::from(*len)];
            }
            Set::Many(numbers) => _ = numbers.remove(number),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Set::Few(len, _) => *len == 0,
            Set::Many(numbers) => numbers.is_empty(),
        }
    }

    /// Every number, in no order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (few, many) = match &self.0 {
            Set::Few(len, numbers) => (Some(&numbers[..usize::from(*len)]), None),
            Set::Many(numbers) => (None, Some(&**numbers)),
        };
        few.into_iter().flatten().copied().chain(many.into_iter().flatten())
    }

    /// Adds every number to others.
    pub fn add_to(&self, others: &mut RoaringBitmap) {
        match &self.0 {
            Set::Few(len, numbers) => others.extend(&numbers[..usize::from(*len)]),
            Set::Many(numbers) => *others |= &**numbers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn few_take_three_words() {
        assert_eq!(size_of::<Numbers>(), 24);
    }

    #[test]
    fn few_and_many_numbers_are_a_set() {
        let (mut numbers, mut model) = (Numbers::default(), BTreeSet::new());
        let check = |numbers: &Numbers, model: &BTreeSet<u32>| {
            let mut bitmap = RoaringBitmap::from([7]);
            numbers.add_to(&mut bitmap);
            let (mut all, expected) = (numbers.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            all.sort_unstable();
            assert_eq!((all, numbers.is_empty()), (expected, model.is_empty()));
            assert!(bitmap.contains(7) && model.iter().all(|number| bitmap.contains(*number)));
        };
        for number in (0..100).chain(20..60) {
            numbers.insert(number);
            model.insert(number);
            check(&numbers, &model);
        }
        for number in (10..90).chain(0..20).chain(80..100) {
            numbers.remove(number);
            model.remove(&number);
            check(&numbers, &model);
        }
    }
}
