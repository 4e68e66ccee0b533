//! Certificates from a control plane, over TLS.

use super::{
    control_plane::{Behaviour, ControlPlane, ID},
    world::{Health, Machine, eventually, mode, within},
};
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::Status;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_token_proves_once_and_the_certificate_from_then_on() {
    // Renewed after about two seconds each.
    let control_plane = ControlPlane::start(Duration::from_secs(4)).await;
    let machine = Machine::new(&control_plane);
    let agent = machine.agent(&control_plane).await;
    let first = agent.ready().await;
    assert_eq!(first.id().to_string(), ID);
    std::fs::remove_file(machine.path("token")).unwrap();

    let mut current = agent.current.clone();
    for _ in 0..3 {
        let before = current.latest().unwrap();
        let after = within("a renewal", current.changed()).await;
        assert_ne!(before.key().pem(), after.key().pem(), "each certificate has a key of its own");
        assert!(after.not_after() >= before.not_after());
    }
    let seen = control_plane.seen();
    assert_eq!((seen[0].authorization.as_deref(), seen[0].shown.is_some()), (Some("Bearer joins"), false));
    assert!(seen[1..].iter().all(|seen| seen.authorization.is_none() && seen.shown.is_some()), "{seen:?}");
    assert_eq!(*agent.handle.health.borrow(), Health::Ok);
}

#[tokio::test]
async fn a_request_says_how_long_and_which_instance() {
    let control_plane = ControlPlane::start(HOUR).await;
    let machine = Machine::new(&control_plane);
    machine.agent(&control_plane).await.ready().await;
    let request = control_plane.seen().remove(0).request;
    assert_eq!(request.validity_duration, 24 * 60 * 60);
    let metadata = request.metadata.unwrap();
    assert!(format!("{:?}", metadata.fields["InstanceId"]).contains("machine-1"), "{metadata:?}");
}

#[tokio::test]
async fn a_restarted_agent_goes_on_with_what_it_had() {
    let control_plane = ControlPlane::start(HOUR).await;
    let machine = Machine::new(&control_plane);
    let agent = machine.agent(&control_plane).await;
    let first = agent.ready().await;
    assert_eq!(mode(&agent.state.root().join("identity.json")), 0o600);
    agent.die().await;

    control_plane.behave(Behaviour::Refuse(Status::permission_denied("no more")));
    let agent = machine.agent(&control_plane).await;
    let again = agent.current.get().expect("at once");
    assert_eq!(again.key().pem(), first.key().pem());
    assert_eq!(control_plane.seen().len(), 1, "nobody was asked");
}

#[tokio::test]
async fn a_refusal_is_a_reason_for_not_being_ready_until_it_ends() {
    let control_plane = ControlPlane::start(HOUR).await;
    control_plane.behave(Behaviour::Refuse(Status::permission_denied("shop/reviews is not known here")));
    let machine = Machine::new(&control_plane);
    let agent = machine.agent(&control_plane).await;
    let health = || agent.handle.health.borrow().reasons().concat();
    eventually("the reason", || health().contains("shop/reviews is not known here"), health).await;
    assert!(agent.handle.metrics.renewals("refused") >= 1);

    control_plane.behave(Behaviour::Issue(HOUR));
    agent.ready().await;
    eventually("health", || *agent.handle.health.borrow() == Health::Ok, health).await;
}

#[tokio::test]
async fn a_control_plane_of_another_mesh_is_not_believed() {
    let control_plane = ControlPlane::start(HOUR).await;
    let machine = Machine::new(&control_plane);
    std::fs::write(machine.path("root-cert.pem"), super::ca::Ca::new("other").root()).unwrap();
    let agent = machine.agent(&control_plane).await;
    let health = || agent.handle.health.borrow().reasons().concat();
    eventually("the reason", || health().contains("put the mesh's new root-cert.pem"), health).await;
    assert_eq!(control_plane.seen().len(), 0, "and is shown no token");
}

#[tokio::test]
async fn a_control_plane_that_goes_away_and_comes_back_is_found_again() {
    let control_plane = ControlPlane::start(HOUR).await;
    let machine = Machine::new(&control_plane);
    let agent = machine.agent(&control_plane).await;
    let mut current = agent.current.clone();
    let first = agent.ready().await;
    current.latest();

    let (address, ca) = (control_plane.address, control_plane.ca.clone());
    control_plane.stop().await;
    agent.handle.renew_now();
    let metrics = || agent.handle.metrics.renewals("unreachable");
    eventually("a failure", || metrics() >= 1, || format!("{} failures", metrics())).await;
    assert_eq!(*agent.handle.health.borrow(), Health::Ok, "there is time enough");
    assert_eq!(current.get().unwrap().key().pem(), first.key().pem());

    let _back = ControlPlane::on(TcpListener::bind(address).await.unwrap(), ca, HOUR);
    within("a renewal", current.changed()).await;
}
