//! What is issued: to whom, for how long, with what in it.

use crate::support::{DAY, HOUR, ID, INSTANCE, Identity, Mesh, by_certificate, by_token, csr, request, spec};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize};
use std::time::Duration;
use tombolo_ca::{INSTANCE_ID, INSTANCE_ID_OID, WorkloadCertificate};
use tombolo_proto::{
    agent::CertificateRequest,
    envoy::google::protobuf::{Struct, Value, value::Kind},
};
use x509_parser::certificate::X509Certificate;

fn read(der: &[u8]) -> X509Certificate<'_> {
    x509_parser::parse_x509_certificate(der).unwrap().1
}

fn metadata(key: &str, value: &str) -> Option<Struct> {
    let value = Value { kind: Some(Kind::StringValue(value.into())) };
    Some(Struct { fields: [(key.to_owned(), value)].into() })
}

#[tokio::test]
async fn a_token_gets_a_certificate_of_its_service_account() {
    let mesh = Mesh::new();
    let identity = mesh.join().await;
    let leaf = read(&identity.chain[0]);
    let certificate = WorkloadCertificate::parse(&identity.chain[0]).unwrap();
    assert_eq!((certificate.id.to_string().as_str(), certificate.instance.unwrap().as_str()), (ID, INSTANCE));
    assert_eq!(certificate.serial.len(), 32);
    assert!(!leaf.is_ca() && leaf.subject().iter().next().is_none());
    assert!(leaf.subject_alternative_name().unwrap().unwrap().critical, "nothing else names it");
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth);
    assert!(leaf.key_usage().unwrap().unwrap().value.digital_signature());
    assert_eq!(leaf.public_key().subject_public_key.data.as_ref(), identity.key.public_key_raw());
    let validity = leaf.validity();
    assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp(), 24 * 3600 + 120);
    assert_eq!(identity.roots, mesh.authority.bundle().roots().ders());
    let dotted: Vec<String> = INSTANCE_ID_OID.iter().map(u64::to_string).collect();
    let instance = leaf.extensions().iter().find(|extension| extension.oid.to_id_string() == dotted.join(".")).unwrap();
    assert!(!instance.critical, "others pass over it");
    assert_eq!(mesh.authority.telemetry().issued_by("token"), 1);
}

#[tokio::test]
async fn a_certificate_gets_the_next_one_when_the_token_is_gone() {
    let mut mesh = Mesh::new();
    let first = mesh.join().await;
    mesh.now += 12 * HOUR;
    let second = mesh.renew(&first).await.unwrap();
    let [old, new] = [&first, &second].map(|identity| WorkloadCertificate::parse(&identity.chain[0]).unwrap());
    assert_eq!((&old.id, &old.instance), (&new.id, &new.instance), "the instance stays the same without the token");
    assert_ne!(old.serial, new.serial);
    assert_eq!(mesh.authority.telemetry().issued_by("certificate"), 1);
    let caller = mesh.authority.authenticate(by_certificate(&second.chain), mesh.now).await.unwrap();
    assert_eq!((caller.expires, caller.proven.word()), (mesh.now + DAY, "certificate"));
}

#[tokio::test]
async fn the_kind_of_key_is_the_agents_choice() {
    let mesh = Mesh::new();
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    for (key, encrypts) in [(rsa, true), (p384, false)] {
        let response = mesh.issue(by_token(&mesh.token()), &request(&key)).await.unwrap();
        let identity = Identity::new(key, &response);
        let leaf = read(&identity.chain[0]);
        assert_eq!(leaf.public_key().subject_public_key.data.as_ref(), identity.key.public_key_raw());
        assert_eq!(leaf.key_usage().unwrap().unwrap().value.key_encipherment(), encrypts);
        mesh.renew(&identity).await.unwrap();
    }
}

#[tokio::test]
async fn lifetimes_are_bounded_and_shorter_ones_are_honoured() {
    let mesh = Mesh::new();
    let life = async |seconds| {
        let key = KeyPair::generate().unwrap();
        let request = CertificateRequest { validity_duration: seconds, ..request(&key) };
        let identity = Identity::new(key, &mesh.issue(by_token(&mesh.token()), &request).await.unwrap());
        WorkloadCertificate::parse(&identity.chain[0]).unwrap().expires().duration_since(mesh.now).unwrap()
    };
    let given = [life(60).await, life(0).await, life(-1).await, life(i64::MAX).await, life(i64::MIN).await];
    assert_eq!(given, [Duration::from_secs(60), DAY, DAY, DAY, DAY]);
}

#[tokio::test]
async fn no_certificate_outlives_the_root() {
    let mut mesh = Mesh::new();
    mesh.now = mesh.roots.active().expires().unwrap() - HOUR;
    let identity = mesh.join().await;
    let certificate = WorkloadCertificate::parse(&identity.chain[0]).unwrap();
    assert_eq!(certificate.expires(), mesh.roots.active().expires().unwrap());
}

#[tokio::test]
async fn a_machine_names_its_instance_once() {
    let mesh = Mesh::new();
    let token = mesh.issuer.token(&spec(None), mesh.now).unwrap();
    let key = KeyPair::generate().unwrap();
    let asked = CertificateRequest { metadata: metadata(INSTANCE_ID, "machine-1"), ..request(&key) };
    let machine = Identity::new(key, &mesh.issue(by_token(&token), &asked).await.unwrap());
    let instance = |identity: &Identity| WorkloadCertificate::parse(&identity.chain[0]).unwrap().instance.unwrap();
    assert_eq!(instance(&machine).as_str(), "machine-1");
    // What the certificate says counts more than what is asked for.
    let key = KeyPair::generate().unwrap();
    let asked = CertificateRequest { metadata: metadata(INSTANCE_ID, "machine-2"), ..request(&key) };
    let renewed = Identity::new(key, &mesh.issue(by_certificate(&machine.chain), &asked).await.unwrap());
    assert_eq!(instance(&renewed).as_str(), "machine-1");
    // A pod's UID too.
    let key = KeyPair::generate().unwrap();
    let asked = CertificateRequest { metadata: metadata(INSTANCE_ID, "machine-2"), ..request(&key) };
    let pod = Identity::new(key, &mesh.issue(by_token(&mesh.token()), &asked).await.unwrap());
    assert_eq!(instance(&pod).as_str(), INSTANCE);
}

#[tokio::test]
async fn a_request_may_name_who_asks() {
    let mesh = Mesh::new();
    let key = KeyPair::generate().unwrap();
    let asked = CertificateRequest { csr: csr(&key, &[ID]), ..CertificateRequest::default() };
    assert!(mesh.issue(by_token(&mesh.token()), &asked).await.is_ok());
}

#[tokio::test]
async fn a_fresh_token_helps_whose_certificate_proves_nothing_any_more() {
    let mut mesh = Mesh::new();
    let identity = mesh.join().await;
    mesh.now += 30 * DAY;
    assert_eq!(mesh.renew(&identity).await.err().unwrap().reason(), "certificate_expired");
    let (token, key) = (mesh.token(), KeyPair::generate().unwrap());
    let both = tombolo_ca::Proof { token: Some(&token), chain: &identity.chain, peer: None };
    assert!(mesh.issue(both, &request(&key)).await.is_ok());
}
