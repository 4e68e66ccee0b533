//! The identity as a real Envoy gets it.

use super::{
    control_plane::ControlPlane,
    envoy::{Envoy, binary},
    world::{Agent, Machine, mode, within},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{path::PathBuf, time::Duration};
use tokio::task::JoinHandle;
use tombolo_agent::identity::{Material, sds::SdsServer};

async fn serve(agent: &Agent) -> (PathBuf, JoinHandle<()>) {
    let path = agent.state.socket("sds.sock").unwrap();
    let server = SdsServer::bind(&path).await.unwrap();
    let current = agent.current.clone();
    let task = tokio::spawn(async move {
        let _ = server.serve(current).await;
    });
    (path, task)
}

fn leaf(material: &Material) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(material.chain().as_bytes()).unwrap()
}

/// Envoy is there before the first certificate is, and stays while certificates and agents go.
async fn a_real_envoy_follows(api: &str) {
    let Some(binary) = binary() else { return };
    let control_plane = ControlPlane::start(Duration::from_secs(3600)).await;
    let machine = Machine::new(&control_plane);
    let agent = machine.agent(&control_plane).await;
    let (path, served) = serve(&agent).await;
    assert_eq!(mode(&path), 0o600);
    let envoy = Envoy::start(binary, api, &path).await;
    let first = agent.ready().await;
    envoy.shows(&leaf(&first)).await;

    let mut current = agent.current.clone();
    current.latest();
    agent.handle.renew_now();
    let second = within("a renewal", current.changed()).await;
    envoy.shows(&leaf(&second)).await;
    assert_ne!(leaf(&first), leaf(&second));

    served.abort();
    let _ = served.await;
    drop(current);
    agent.die().await;
    assert_eq!(envoy.certificate().await, Some(leaf(&second)), "while there is no agent");
    let agent = machine.agent(&control_plane).await;
    let (_, served) = serve(&agent).await;
    let mut current = agent.current.clone();
    current.latest();
    agent.handle.renew_now();
    let third = within("a renewal", current.changed()).await;
    envoy.shows(&leaf(&third)).await;
    served.abort();
}

#[tokio::test]
async fn a_real_envoy_follows_by_difference() {
    a_real_envoy_follows("DELTA_GRPC").await;
}

#[tokio::test]
async fn a_real_envoy_follows_by_whole_state() {
    a_real_envoy_follows("GRPC").await;
}
