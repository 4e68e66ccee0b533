//! Whatever is sent, it is refused, and nothing else happens: 100,000 inputs each, random ones and good ones with some bytes changed.

use crate::support::{Mesh, csr};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use tombolo_ca::{Csr, Jwks, KeyRing, TokenRules, TokenVerifier, WorkloadCertificate, certificates};
use tombolo_core::TrustDomain;

/// How many, unless the environment's `PROPTEST_CASES` says otherwise.
const CASES: u32 = 100_000;

/// What happens to an input: bytes set, cut, or put in.
#[derive(Clone, Debug)]
enum Edit {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<prop::sample::Index>;
    let edit = prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        1 => (at(), any::<u8>()).prop_map(|(at, count)| Edit::Cut(at, count)),
        1 => (at(), prop::collection::vec(any::<u8>(), 0..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
    ];
    prop::collection::vec(edit, 1..4)
}

/// One of `good`, edited, or random bytes.
fn inputs(good: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edited = (prop::sample::select(good), edits()).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            let len = bytes.len();
            match edit {
                _ if len == 0 => break,
                Edit::Set(at, byte) => bytes[at.index(len)] = byte,
                Edit::Cut(at, count) => drop(bytes.drain(at.index(len)..len.min(at.index(len) + usize::from(count)))),
                Edit::Insert(at, new) => drop(bytes.splice(at.index(len)..at.index(len), new)),
            }
        }
        bytes
    });
    prop_oneof![7 => edited, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

fn survives(good: Vec<Vec<u8>>, test: impl Fn(&[u8])) {
    let default = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { CASES };
    let config = Config { cases, rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..default };
    TestRunner::new(config)
        .run(&inputs(good), |bytes| {
            test(&bytes);
            Ok(())
        })
        .unwrap();
}

fn requests() -> Vec<String> {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let key = KeyPair::generate().unwrap();
    vec![csr(&rsa, &[]), csr(&key, &["spiffe://cluster.local/ns/shop/sa/reviews"])]
}

#[test]
fn certificate_requests_in_der() {
    let good = requests().iter().map(|text| pem::parse(text).unwrap().into_contents()).collect();
    survives(good, |bytes| drop(Csr::from_der(bytes.to_vec())));
}

#[test]
fn certificate_requests_in_pem() {
    let good = requests().into_iter().map(String::into_bytes).collect();
    survives(good, |bytes| drop(Csr::parse(&String::from_utf8_lossy(bytes))));
}

#[test]
fn tokens() {
    let mesh = Mesh::new();
    let rules = TokenRules::new(TrustDomain::default(), mesh.issuer.issuer());
    let verifier = TokenVerifier::new(rules, KeyRing::new(mesh.issuer.jwks().unwrap()).into());
    let good = mesh.token();
    assert!(verifier.verify(&good, mesh.now).is_ok());
    survives(vec![good.clone().into_bytes()], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        assert!(verifier.verify(&text, mesh.now).is_err() || text == good, "{text}");
    });
}

#[test]
fn key_sets() {
    let rsa = br#"{"keys":[{"use":"sig","kty":"RSA","kid":"a","alg":"RS256","n":"sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4gs_7svlJJQ4H9_NxsiIoLwAEk7-Q3UXERGYw_75IDrGA84-lA_-Ct4eTlXHBIY2EaV7t7LjJaynVJCpkv4LKjTTAumiGUIuQhrNhZLuF_RJLqHpM2kgWFLU7-VTdL1VbC2tejvcI2BlMkEpk1BzBZI0KQB0GaDWFLN-aEAw3vRw","e":"AQAB"}]}"#;
    let local = Mesh::new().issuer.jwks_document().unwrap();
    survives(vec![rsa.to_vec(), local], |bytes| drop(Jwks::parse(bytes)));
}

#[tokio::test]
async fn client_certificates() {
    let mesh = Mesh::new();
    let identity = mesh.join().await;
    let good = identity.chain[0].to_vec();
    let trust = mesh.authority.bundle();
    survives(vec![good.clone()], |bytes| {
        let _ = WorkloadCertificate::parse(bytes);
        let chain = [bytes.into()];
        let passes = trust.verify(&chain, mesh.now, std::time::Duration::ZERO).is_ok();
        assert!(!passes || bytes == good, "somebody changed a certificate, and it still counts");
    });
}

#[test]
fn files_of_certificates() {
    let good = Mesh::new().authority.bundle().roots().pems()[0].clone();
    survives(vec![good.into_bytes()], |bytes| drop(certificates(bytes)));
}
