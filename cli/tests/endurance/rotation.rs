//! The mesh gets another root, while everybody goes on.

use super::{agents::Agent, load::Load, renewal::lifetime, world::World};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
};
use serde_json::Value;
use std::fs;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The roots as the run keeps them: the phase of their rotation, and the one that signs.
fn roots(world: &World) -> Option<(String, CertificateDer<'static>)> {
    let kept: Value = serde_json::from_slice(&fs::read(world.state().join("ca-roots.json")).ok()?).ok()?;
    let active = CertificateDer::from_pem_slice(kept["active"]["certificate"].as_str()?.as_bytes()).ok()?;
    Some((kept["phase"]["name"].as_str()?.to_owned(), active))
}

/// Whether an agent's certificate is signed by this root itself, without any cross certificate.
fn is_signed_by(agent: &Agent, root: &CertificateDer<'_>) -> bool {
    let Some(leaf) = agent.leaf() else { return false };
    let (leaf, anchor) = (EndEntityCert::try_from(&leaf).unwrap(), anchor_from_trusted_cert(root).unwrap());
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let usage = KeyUsage::client_auth();
    leaf.verify_for_usage(algorithms, &[anchor], &[], UnixTime::now(), usage, None, None).is_ok()
}

/// All of a rotation: the next root is announced, signs, and is the only one.
#[test]
fn not_one_request_fails_while_the_root_is_rotated() {
    let seconds = lifetime().as_secs();
    let spec = format!("{{ca: {{workloadCertTTL: {seconds}s, rootRotation: {{overlap: {seconds}s}}}}}}");
    let Some(world) = World::start(&spec) else { return };
    let (phase, old) = roots(&world).unwrap();
    assert_eq!(phase, "settled");
    let agents = world.agents();
    assert!(agents.iter().all(|agent| is_signed_by(agent, &old)));

    let load = Load::start(world.gateway);
    let answer = world.post("/ca/rotate").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let reached = |phase: &str| roots(&world).filter(|(now, _)| now == phase).map(|(_, root)| root);
    assert_eq!(reached("announced"), Some(old.clone()), "the old one signs until everybody knows the next one");
    let new = world.within(lifetime() * 4, "the next root signs", || reached("overlapping"));
    assert_ne!(new, old);
    world.within(lifetime() * 4, "the old root is forgotten", || reached("settled"));
    world.within(lifetime() * 2, "every agent has learned that", || {
        let settled =
            |agent: &Agent| is_signed_by(agent, &new) && agent.roots().is_some_and(|roots| roots == [new.clone()]);
        agents.iter().all(settled).then_some(())
    });
    // Whatever is renewed from now on is renewed under the new root alone.
    let held = agents.each_ref().map(Agent::leaf);
    world.within(lifetime() * 2, "a renewal after it", || {
        agents.iter().zip(&held).all(|(agent, held)| agent.leaf() != *held).then_some(())
    });
    load.end();
    assert!(agents.iter().all(|agent| is_signed_by(agent, &new) && !is_signed_by(agent, &old)));
}
