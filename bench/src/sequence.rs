//! The number of an edit, written where every client receives it: in an endpoint's address.

use memchr::memmem;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An edit's number. As an address it is `11.1aa.1bb.1cc` with the decimal digits `aabbcc`: always 14 characters, so that
/// messages that differ in it alone are of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(u32);

/// `SocketAddress.address`, its length, and how every address of a sequence starts: other text cannot look like it by chance.
const NEEDLE: &[u8] = b"\x12\x0e11.1";
/// `11.1aa.1bb.1cc`
const ADDRESS_LEN: usize = 14;

impl Sequence {
    /// How many there are: they start again from 0.
    pub const COUNT: u32 = 1_000_000;

    /// The sequence of a number, modulo [`Sequence::COUNT`].
    pub const fn new(number: u32) -> Self {
        Self(number % Self::COUNT)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The address that carries it.
    pub fn address(self) -> Ipv4Addr {
        let pair = |n: u32| 100 + (n % 100) as u8;
        Ipv4Addr::new(11, pair(self.0 / 10_000), pair(self.0 / 100), pair(self.0))
    }

    /// The first sequence in an encoded `ClusterLoadAssignment`, found by its bytes: nothing is decoded.
    pub fn find(encoded: &[u8]) -> Option<Self> {
        Self::parse(&encoded[position(encoded)?..])
    }

    /// Replaces every sequence in encoded bytes by this one. Returns how many there were.
    pub fn replace_in(self, encoded: &mut [u8]) -> usize {
        let text = self.address().to_string();
        let (mut from, mut count) = (0, 0);
        while let Some(at) = position(&encoded[from..]) {
            let (start, end) = (from + at, from + at + ADDRESS_LEN);
            if Self::parse(&encoded[start..]).is_some() {
                encoded[start..end].copy_from_slice(text.as_bytes());
                count += 1;
            }
            from = start;
        }
        count
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let address: Ipv4Addr = std::str::from_utf8(text.get(..ADDRESS_LEN)?).ok()?.parse().ok()?;
        let [_, pairs @ ..] = address.octets();
        pairs.into_iter().try_fold(0, |n, pair| Some(n * 100 + u32::from(pair.checked_sub(100)?))).map(Self::new)
    }
}

/// Where the address starts.
fn position(encoded: &[u8]) -> Option<usize> {
    memmem::find(encoded, NEEDLE).map(|at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;
    use tombolo_proto::envoy::envoy::config::core::v3::SocketAddress;

    fn encoded(address: &str) -> Vec<u8> {
        SocketAddress { address: address.into(), ..Default::default() }.encode_to_vec()
    }

    proptest! {
        #[test]
        fn a_sequence_is_found_where_it_was_put(number in 0..Sequence::COUNT, other in 0..Sequence::COUNT) {
            let (sequence, other) = (Sequence::new(number), Sequence::new(other));
            let mut bytes = encoded(&sequence.address().to_string());
            prop_assert_eq!(Sequence::find(&bytes), Some(sequence));
            prop_assert_eq!(other.replace_in(&mut bytes), 1);
            prop_assert_eq!(Sequence::find(&bytes), Some(other));
        }

        #[test]
        fn any_bytes_are_searched_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let found = Sequence::find(&bytes).is_some();
            prop_assert!(!found || Sequence::new(1).replace_in(&mut bytes) > 0);
        }
    }

    #[test]
    fn other_addresses_are_not_sequences() {
        for address in ["10.11.1.123", "11.1.1.1", "111.100.100.100", "11.199.199.1999"] {
            assert_eq!(Sequence::find(&encoded(address)), None, "{address}");
        }
    }
}
