//! Bytes of any kind are read without harm.

use super::*;
use proptest::{prelude::*, sample::Index};

/// 100,000 cases in all, in seconds: most are cheap, and those that get as far as a signature's key are few.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What an agent writes; made once, as keys take time.
fn whole() -> &'static [u8] {
    static WHOLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    WHOLE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let world = runtime.block_on(async { World::new(DAY) });
        stored::encode(&world.material(ID, DAY)).to_vec()
    })
}

proptest! {
    #![proptest_config(cases(40_000))]

    #[test]
    fn any_bytes_are_a_stored_identity_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(stored::decode(&bytes).is_err());
    }

    #[test]
    fn any_text_is_a_chain_or_an_error(text in ".{0,64}", block in proptest::collection::vec(any::<u8>(), 0..64)) {
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE", block));
        let answer = [text, pem];
        let key = PrivateKey::new("none".into());
        prop_assert!(Material::from_response(key, &answer, SystemTime::UNIX_EPOCH).is_err());
    }
}

proptest! {
    #![proptest_config(cases(20_000))]

    /// Changed in one place or cut off: it is the same identity, or it is refused.
    #[test]
    fn a_damaged_identity_is_never_another_one(at in any::<Index>(), to in any::<u8>(), cut in any::<Index>(), cuts in any::<bool>()) {
        let mut bytes = whole().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(material) = stored::decode(&bytes) {
            prop_assert_eq!(&*stored::encode(&material), whole());
        }
    }
}
