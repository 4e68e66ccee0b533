//! What the MeshInstallation says of identity, changed while everybody goes on: who signs, and in what name.

use super::{agents::Agent, load::Load, renewal::lifetime, world::World};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
};
use serde_json::{Value, json};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The four files of an intermediate, as an organisation's own authority signs one.
#[derive(Clone)]
struct Files {
    cert: String,
    key: String,
    root: String,
}

impl Files {
    fn new(name: &str) -> Self {
        let [root_key, key] = [(); 2].map(|()| KeyPair::generate().unwrap());
        let [root, cert] = ["root", "intermediate"].map(|role| authority(&format!("{name} {role}")));
        let cert = cert.signed_by(&key, &Issuer::from_params(&root, &root_key)).unwrap().pem();
        Self { cert, key: key.serialize_pem(), root: root.self_signed(&root_key).unwrap().pem() }
    }

    /// The Secret that holds them.
    fn secret(&self) -> String {
        let files = json!({
            "ca-cert.pem": self.cert, "ca-key.pem": self.key, "cert-chain.pem": self.cert, "root-cert.pem": self.root,
        });
        secret(&files)
    }

    /// Whether an agent's certificate leads to the root; to the first one where there are several.
    fn has_signed(&self, agent: &Agent) -> bool {
        let Some(chain) = agent.chain() else { return false };
        let root = CertificateDer::from_pem_slice(self.root.as_bytes()).unwrap();
        let (leaf, anchor) = (EndEntityCert::try_from(&chain[0]).unwrap(), anchor_from_trusted_cert(&root).unwrap());
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let (now, usage) = (UnixTime::now(), KeyUsage::client_auth());
        leaf.verify_for_usage(algorithms, &[anchor], &chain[1..], now, usage, None, None).is_ok()
    }
}

fn secret(files: &Value) -> String {
    let metadata = json!({"name": "cacerts", "namespace": "tombolo-system"});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": files}).to_string()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// Waits until a condition of the MeshInstallation has this reason, and its message these words.
fn told(world: &World, kind: &str, reason: &str, words: &str) {
    world.until(&format!("{kind}: {reason}, {words}"), || {
        let statuses = world.json("/debug/status")?;
        let (_, status) = statuses.as_object()?.iter().find(|(key, _)| key.contains("MeshInstallation"))?;
        let mut conditions = status["conditions"].as_array()?.iter();
        let condition = conditions.find(|condition| condition["type"] == kind)?;
        let fits = condition["reason"] == reason && condition["message"].as_str()?.contains(words);
        fits.then_some(())
    });
}

/// Waits until every agent has renewed its certificate.
fn renewed(world: &World) {
    let agents = world.agents();
    let held = agents.each_ref().map(Agent::leaf);
    world.until("every agent has another certificate", || {
        agents.iter().zip(&held).all(|(agent, held)| agent.leaf() != *held).then_some(())
    });
}

const READY: &str = "CertificateAuthorityReady";

#[test]
fn a_provided_intermediate_signs_until_a_better_one_comes() {
    let (old, new) = (Files::new("old"), Files::new("new"));
    let spec = format!("{{ca: {{secretRef: {{name: cacerts}}, workloadCertTTL: {}s}}}}", lifetime().as_secs());
    let Some(mut world) = World::start_with(&spec, &[("cacerts.yaml", &old.secret())]) else { return };
    let agents = world.agents();
    let root = CertificateDer::from_pem_slice(old.root.as_bytes()).unwrap();
    for agent in &agents {
        assert!(old.has_signed(agent) && agent.roots() == Some(vec![root.clone()]));
    }
    told(&world, READY, "Provided", "");

    // What is of no use is said, and changes nothing: neither now nor at a restart.
    let refused = |world: &World, secret: &str, words: &str| {
        world.write("cacerts.yaml", secret);
        told(world, READY, "InvalidSecret", words);
        told(world, READY, "InvalidSecret", "what signed before signs on");
    };
    refused(&world, &Files { key: new.key.clone(), ..old.clone() }.secret(), "ca-key.pem is not the key");
    refused(
        &world,
        &secret(&json!({"ca-cert.pem": old.cert})),
        "cacerts lacks ca-key.pem, cert-chain.pem, root-cert.pem",
    );
    renewed(&world);
    world.kill();
    world.run();
    told(&world, READY, "InvalidSecret", "cacerts lacks");
    renewed(&world);
    assert!(agents.iter().all(|agent| old.has_signed(agent)));
    assert_eq!(world.get("/").unwrap().0, 200);

    // As organisations replace their root: both are trusted before the new one signs.
    world.write("cacerts.yaml", &Files { root: format!("{}{}", new.root, old.root), ..old.clone() }.secret());
    told(&world, READY, "Provided", "");
    renewed(&world);
    assert!(agents.iter().all(|agent| old.has_signed(agent) && agent.roots().unwrap().len() == 2));
    world.write("cacerts.yaml", &Files { root: format!("{}{}", old.root, new.root), ..new.clone() }.secret());
    // It was announced when the file named its root, and waits out the rest.
    world
        .within(lifetime() * 4, "the new one signs", || agents.iter().all(|agent| new.has_signed(agent)).then_some(()));
    assert_eq!(world.get("/").unwrap().0, 200);
}

/// A Secret `cacerts` that comes and goes: whoever is to sign is announced, signs, and is the only one to be trusted.
#[test]
fn not_one_request_fails_while_an_intermediate_comes_and_goes() {
    let seconds = lifetime().as_secs();
    let spec = format!("{{ca: {{workloadCertTTL: {seconds}s, rootRotation: {{overlap: {seconds}s}}}}}}");
    let Some(world) = World::start_with(&spec, &[]) else { return };
    let (files, agents) = (Files::new("own"), world.agents());
    told(&world, READY, "SelfSigned", "");
    let load = Load::start(world.gateway);
    let only_one_is_trusted = |agent: &Agent| agent.roots().is_some_and(|roots| roots.len() == 1);

    world.write("cacerts.yaml", &files.secret());
    told(&world, READY, "Announced", "what signed before signs on");
    world.within(lifetime() * 4, "the intermediate signs, and its root alone is trusted", || {
        agents.iter().all(|agent| files.has_signed(agent) && only_one_is_trusted(agent)).then_some(())
    });
    told(&world, READY, "Provided", "");

    world.write("cacerts.yaml", "");
    told(&world, READY, "Announced", "a root of the mesh's own");
    world.within(lifetime() * 4, "the own root signs, and is trusted alone", || {
        agents.iter().all(|agent| !files.has_signed(agent) && only_one_is_trusted(agent)).then_some(())
    });
    told(&world, READY, "SelfSigned", "");
    load.end();
}

#[test]
fn what_needs_a_restart_says_so_and_breaks_nothing() {
    let Some(mut world) = World::start_with("{}", &[]) else { return };
    told(&world, "TrustDomainInEffect", "InEffect", "cluster.local");

    world.respec("{mesh: {trustDomain: new.example}}");
    told(&world, "TrustDomainInEffect", "RestartRequired", "identities are of cluster.local, and not of new.example");
    // Connections that are made from now on are checked by what holds now.
    for _ in 0..5 {
        let (status, body) = world.get("/").unwrap();
        assert!(status == 200 && body.contains("URI=spiffe://cluster.local/"), "{status} {body}");
    }

    world.kill();
    world.run();
    told(&world, "TrustDomainInEffect", "InEffect", "new.example");
    world.until("identities of the new trust domain are spoken with", || {
        let (status, body) = world.get("/").ok()?;
        (status == 200 && body.contains("URI=spiffe://new.example/")).then_some(())
    });
}
