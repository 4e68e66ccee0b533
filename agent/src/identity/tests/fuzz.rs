//! Bytes of any kind are read without harm.

use super::*;
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::RngSeed};
use std::sync::OnceLock;

/// 100,000 cases in all, in seconds; more with `PROPTEST_CASES`.
fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = default.cases.max(cases);
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..default }
}

/// What an agent writes; made once, as keys take time.
fn whole() -> &'static [u8] {
    static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let world = runtime.block_on(async { World::new(DAY) });
        stored::encode(&world.material(ID, DAY)).to_vec()
    })
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn any_bytes_are_a_stored_identity_or_an_error(bytes in vec(any::<u8>(), 0..256)) {
        prop_assert!(stored::decode(&bytes).is_err());
    }

    #[test]
    fn any_answer_is_a_chain_or_an_error(bytes in vec(any::<u8>(), 0..64), block in vec(any::<u8>(), 0..64)) {
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE", block));
        let answer = [String::from_utf8_lossy(&bytes).into_owned(), pem];
        let key = PrivateKey::new("none".into());
        prop_assert!(Material::from_response(key, &answer, SystemTime::UNIX_EPOCH).is_err());
    }

    /// Changed in one place or cut off: it is the same identity, or it is refused.
    #[test]
    fn a_damaged_identity_is_never_another_one(damage in damage()) {
        if let Ok(material) = stored::decode(&damage.of(whole())) {
            prop_assert_eq!(&*stored::encode(&material), whole());
        }
    }
}

proptest! {
    #![proptest_config(cases(40_000))]

    /// What a control plane sends is not ours to trust: whatever is read of it, is in it.
    #[test]
    fn a_damaged_certificate_is_read_or_refused(damage in damage()) {
        let damaged = damage.of(leaf());
        material::is_self_signed(&damaged);
        if let Ok((id, _, _)) = material::read_leaf(&damaged) {
            let id = id.to_string();
            prop_assert!(damaged.windows(id.len()).any(|window| window == id.as_bytes()));
        }
    }
}

/// Its certificate, in DER.
fn leaf() -> &'static [u8] {
    static LEAF: OnceLock<Vec<u8>> = OnceLock::new();
    LEAF.get_or_init(|| pem::parse(stored::decode(whole()).unwrap().chain()).unwrap().into_contents())
}

/// One byte changed, and perhaps the end cut off.
#[derive(Debug)]
struct Damage {
    at: Index,
    to: u8,
    cut: Option<Index>,
}

fn damage() -> impl Strategy<Value = Damage> {
    (any::<Index>(), any::<u8>(), any::<Option<Index>>()).prop_map(|(at, to, cut)| Damage { at, to, cut })
}

impl Damage {
    fn of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let at = self.at.index(bytes.len());
        bytes[at] = self.to;
        if let Some(cut) = self.cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    }
}
