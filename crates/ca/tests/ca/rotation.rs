//! A root is replaced, and nobody is cut off: neither who is connected, nor who slept.

use crate::support::{DAY, HOUR, Identity, Mesh, by_certificate, is_self_signed, start};
use proptest::{prelude::*, test_runner::RngSeed};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{collections::HashMap, time::SystemTime};
use tombolo_ca::{Issuing, LocalSigner, RootError, Roots, RotationPolicy, Signer as _, Step};
use tombolo_core::TrustDomain;

fn policy() -> RotationPolicy {
    RotationPolicy::default()
}

impl Mesh {
    /// What the shell does now and then.
    fn tick(&mut self) -> bool {
        let next = self.roots.advance(&policy(), self.now).unwrap();
        let changed = next.is_some();
        if let Some(next) = next {
            // By way of the store, as it would be.
            self.adopt(Roots::from_json(&next.to_json().unwrap()).unwrap());
        }
        changed
    }

    fn rotate(&mut self) {
        let next = self.roots.rotate(&policy(), self.now).unwrap();
        self.adopt(next);
    }
}

/// Whether a workload that trusts `trusted` accepts this chain, as Envoy and everybody else judge it.
fn accepts(trusted: &[CertificateDer<'static>], chain: &[CertificateDer<'static>], now: SystemTime) -> bool {
    let anchors: Vec<_> = trusted.iter().map(|root| webpki::anchor_from_trusted_cert(root).unwrap()).collect();
    let at = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let leaf = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
    let usage = webpki::KeyUsage::server_auth();
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &chain[1..], at, usage, None, None).is_ok()
}

/// Both directions, by all that each trusts, and by the last root only, which is what Istio's agents keep.
fn talk(one: &Identity, other: &Identity, now: SystemTime) -> bool {
    [(one, other), (other, one)].iter().all(|(client, server)| {
        let last = &client.roots[client.roots.len() - 1..];
        accepts(&client.roots, &server.chain, now) && accepts(last, &server.chain, now)
    })
}

#[tokio::test]
async fn a_rotation_goes_step_by_step_and_everybody_keeps_talking() {
    let mut mesh = Mesh::new();
    let settled = mesh.join().await;
    assert!(!mesh.tick(), "ten years are left");
    mesh.rotate();
    assert_eq!(mesh.authority.bundle().roots().ders().len(), 2);
    let announced = mesh.renew(&settled).await.unwrap();
    assert_eq!(announced.roots.len(), 2, "who renews learns of the next root");
    assert_eq!(announced.roots.last(), settled.roots.last(), "the old one still signs");
    assert!(talk(&settled, &announced, mesh.now));

    mesh.now += DAY - HOUR;
    assert!(!mesh.tick(), "certificates of before the announcement still count");
    let late = mesh.renew(&announced).await.unwrap();
    mesh.now += HOUR;
    assert!(mesh.tick());
    let switched = mesh.renew(&late).await.unwrap();
    assert_ne!(switched.roots.last(), late.roots.last(), "the new one signs");
    assert!(talk(&late, &switched, mesh.now));
    let renewed = mesh.renew(&switched).await.unwrap();
    assert!(talk(&switched, &renewed, mesh.now));

    mesh.now += 90 * DAY - HOUR;
    assert!(!mesh.tick(), "the overlap is not over");
    mesh.now += HOUR;
    assert!(mesh.tick());
    let retired = mesh.join().await;
    assert_eq!((retired.roots.len(), retired.chain.len()), (1, 1));
    assert_eq!(retired.roots.last(), switched.roots.last());
    assert!(!mesh.tick());
}

/// It has an old certificate, and trusts the old root only.
#[tokio::test]
async fn a_machine_that_slept_through_the_switch_comes_back() {
    let mut mesh = Mesh::new();
    mesh.rotate();
    mesh.now += DAY;
    let sleeper = {
        // Joined before the rotation began, so it has not heard of the next root.
        let mut identity = mesh.join().await;
        identity.roots.retain(|root| Some(root) == mesh.authority.bundle().roots().ders().last());
        identity.chain.truncate(1);
        identity
    };
    assert!(mesh.tick());
    mesh.now += 7 * DAY;
    // Asleep for a week: its certificate is over since six days.
    let server = mesh.join().await;
    assert!(accepts(&sleeper.roots, &server.chain, mesh.now), "it accepts the server by way of the cross certificate");
    let back = mesh.renew(&sleeper).await.unwrap();
    assert!(talk(&back, &server, mesh.now), "and has learned");
    // One that was revoked meanwhile does not.
    mesh.world.revoked.lock().unwrap().insert(crate::support::INSTANCE.to_owned());
    assert_eq!(mesh.renew(&sleeper).await.err().unwrap().reason(), "revoked");
}

#[tokio::test]
async fn a_machine_that_slept_longer_than_the_overlap_must_join_again() {
    let mut mesh = Mesh::new();
    mesh.rotate();
    mesh.now += DAY;
    assert!(mesh.tick());
    mesh.now += 89 * DAY;
    let old = Mesh::with(mesh.now, mesh.roots.clone(), mesh.signer.clone()).join().await;
    mesh.now += DAY;
    assert!(mesh.tick());
    assert!(mesh.renew(&old).await.is_ok(), "signed by the new root");
    let stranger = Mesh::at(mesh.now).join().await;
    assert_eq!(mesh.renew(&stranger).await.err().unwrap().reason(), "foreign_root");
}

#[tokio::test]
async fn certificates_of_a_retired_root_count_no_more() {
    let mut mesh = Mesh::new();
    let old = mesh.join().await;
    let patient = RotationPolicy { overlap: HOUR, announce: HOUR, ..policy() };
    let rotated = mesh.roots.rotate(&patient, mesh.now).unwrap();
    mesh.now += HOUR;
    let switched = rotated.advance(&patient, mesh.now).unwrap().unwrap();
    mesh.adopt(switched.clone());
    assert!(mesh.renew(&old).await.is_ok());
    mesh.now += HOUR;
    mesh.adopt(switched.advance(&patient, mesh.now).unwrap().unwrap());
    let refusal = mesh.authority.authenticate(by_certificate(&old.chain), mesh.now).await.unwrap_err();
    assert_eq!(refusal.reason(), "foreign_root");
}

#[test]
fn it_is_due_by_what_is_left_and_only_one_at_a_time() {
    let roots = Roots::create(&TrustDomain::default(), start(), policy().lifetime).unwrap();
    let end = roots.active().expires().unwrap();
    assert_eq!(roots.due(&policy(), end - 730 * DAY).unwrap(), None);
    assert_eq!(roots.due(&policy(), end - 729 * DAY).unwrap(), Some(Step::Announce));
    let announced = roots.advance(&policy(), end - 729 * DAY).unwrap().unwrap();
    assert_eq!(announced.active(), roots.active());
    assert!(matches!(announced.rotate(&policy(), end - 729 * DAY), Err(RootError::UnderWay)));
    assert_eq!(announced.due(&policy(), end - 728 * DAY).unwrap(), Some(Step::Switch));
    // A clock that was set back retires nothing early.
    assert_eq!(announced.due(&policy(), start()).unwrap(), None);
}

/// Nothing signs by a root that is over, so waiting for the announcement to be heard would only make it worse.
#[test]
fn a_root_that_is_over_is_replaced_at_once() {
    let roots = Roots::create(&TrustDomain::default(), start(), DAY).unwrap();
    let late = start() + 2 * DAY;
    let announced = roots.advance(&policy(), late).unwrap().unwrap();
    let switched = announced.advance(&policy(), late).unwrap().unwrap();
    assert!(switched.active().expires().unwrap() > late);
}

#[test]
fn stored_roots_are_checked_and_keys_are_not_printed() {
    let roots = Roots::create(&TrustDomain::default(), start(), DAY).unwrap().rotate(&policy(), start()).unwrap();
    let stored = roots.to_json().unwrap();
    assert_eq!(Roots::from_json(&stored).unwrap(), roots);
    let printed = format!("{roots:?}");
    assert!(!printed.contains("PRIVATE KEY") && printed.contains("[redacted]"), "{printed}");
    assert!(is_self_signed(&roots.active().certificate().unwrap()));
    let mut torn: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    torn["active"]["key"] = torn["phase"]["next"]["key"].clone();
    assert!(matches!(Roots::from_json(torn.to_string().as_bytes()), Err(RootError::KeyMismatch)));
    torn["active"]["certificate"] = "".into();
    assert!(matches!(Roots::from_json(torn.to_string().as_bytes()), Err(RootError::Pem)));
    assert!(matches!(Roots::from_json(&stored[..stored.len() / 2]), Err(RootError::Stored(_))));
}

/// What is done to a mesh's roots: time passes, and somebody may ask for a rotation.
#[derive(Clone, Copy, Debug)]
enum Event {
    Hours(u64),
    Asked,
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40, rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Whatever the order of events: who signs was announced long enough before, and who has signed is trusted long enough after.
    #[test]
    fn nobody_signs_unannounced_and_nobody_is_forgotten_early(
        events in prop::collection::vec(prop_oneof![3 => (1..2000_u64).prop_map(Event::Hours), 1 => Just(Event::Asked)], 1..25),
    ) {
        let policy = RotationPolicy { lifetime: 300 * DAY, renew_before: 60 * DAY, overlap: 20 * DAY, ..policy() };
        let mut now = start();
        let mut roots = Roots::create(&TrustDomain::default(), now, policy.lifetime).unwrap();
        // When each trusted root became so, and when each that signed ceased to.
        let (mut known, mut signed) = (HashMap::from([(trusted(&roots)[0].clone(), now)]), HashMap::new());
        for event in events {
            let next = match event {
                Event::Hours(hours) => {
                    now += HOUR * u32::try_from(hours).unwrap();
                    roots.advance(&policy, now).unwrap()
                }
                Event::Asked => roots.rotate(&policy, now).ok(),
            };
            let Some(next) = next else { continue };
            let (before, after) = (trusted(&roots), trusted(&next));
            let (old, new) = (before.last().unwrap(), after.last().unwrap());
            let over = roots.active().expires().unwrap() <= now;
            if old != new {
                prop_assert!(before.contains(new) && (over || now - policy.announce >= known[new]));
                signed.insert(old.clone(), now);
            }
            for forgotten in before.iter().filter(|root| !after.contains(root)) {
                prop_assert!(now - policy.overlap >= signed[forgotten]);
            }
            for root in after {
                known.entry(root).or_insert(now);
            }
            roots = Roots::from_json(&next.to_json().unwrap()).unwrap();
        }
    }
}

fn trusted(roots: &Roots) -> Vec<CertificateDer<'static>> {
    LocalSigner::new(Issuing::self_signed(roots).unwrap()).trust().roots().ders().to_vec()
}
