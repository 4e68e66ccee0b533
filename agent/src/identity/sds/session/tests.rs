use super::*;
use tombolo_proto::envoy::google::{protobuf::Any, rpc::Status};

/// Both secrets, at these versions.
fn secrets(certificate: &str, roots: &str) -> [Encoded; 2] {
    let secret = |name, version: &str| Encoded { name, version: version.into(), body: Any::default() };
    [secret("default", certificate), secret("ROOTCA", roots)]
}

fn delta(subscribe: &[&str]) -> DeltaDiscoveryRequest {
    let resource_names_subscribe = subscribe.iter().map(ToString::to_string).collect();
    DeltaDiscoveryRequest { resource_names_subscribe, ..DeltaDiscoveryRequest::default() }
}

fn world(names: &[&str], nonce: &str) -> Asked {
    let resource_names = names.iter().map(ToString::to_string).collect();
    DiscoveryRequest { resource_names, response_nonce: nonce.into(), ..DiscoveryRequest::default() }.into()
}

/// The versions that are sent, and the nonce.
fn sent(session: &mut Session, secrets: &[Encoded]) -> (Vec<String>, String) {
    let reply = session.due(secrets).expect("something is due");
    (reply.secrets.into_iter().map(|secret| secret.version).collect(), reply.nonce)
}

#[test]
fn what_is_asked_for_is_sent_once_and_again_when_it_changes() {
    let mut session = Session::default();
    assert!(session.due(&secrets("c1", "r1")).is_none(), "nothing was asked for");
    session.ask(delta(&["default", "ROOTCA"]).into()).unwrap();
    assert_eq!(sent(&mut session, &secrets("c1", "r1")).0, ["c1", "r1"]);
    assert!(session.due(&secrets("c1", "r1")).is_none());
    assert_eq!(sent(&mut session, &secrets("c2", "r1")).0, ["c2"]);
}

#[test]
fn a_client_that_comes_back_is_sent_what_it_does_not_have() {
    let mut session = Session::default();
    let held = [("default", "c1"), ("ROOTCA", "r0"), ("other", "x")];
    let initial_resource_versions = held.map(|(name, version)| (name.to_owned(), version.to_owned())).into();
    let request = DeltaDiscoveryRequest { initial_resource_versions, ..delta(&["default", "ROOTCA"]) };
    session.ask(request.into()).unwrap();
    assert_eq!(sent(&mut session, &secrets("c1", "r1")).0, ["r1"]);
}

#[test]
fn what_is_asked_for_again_is_sent_again_and_what_is_dropped_no_more() {
    let mut session = Session::default();
    session.ask(delta(&["default"]).into()).unwrap();
    sent(&mut session, &secrets("c1", "r1"));
    session.ask(delta(&["default"]).into()).unwrap();
    assert_eq!(sent(&mut session, &secrets("c1", "r1")).0, ["c1"]);
    let dropped = DeltaDiscoveryRequest { resource_names_unsubscribe: vec!["default".into()], ..delta(&[]) };
    session.ask(dropped.into()).unwrap();
    assert!(session.due(&secrets("c2", "r1")).is_none());
}

#[test]
fn whole_state_is_the_names_of_the_last_request() {
    let mut session = Session::default();
    session.ask(world(&["ROOTCA"], "")).unwrap();
    let (versions, nonce) = sent(&mut session, &secrets("c1", "r1"));
    assert_eq!(versions, ["r1"]);
    assert_eq!(session.ask(world(&["ROOTCA"], &nonce)).unwrap(), [Note::Accepted]);
    assert!(session.due(&secrets("c1", "r1")).is_none(), "an ACK asks for nothing");
    session.ask(world(&["default"], &nonce)).unwrap();
    assert_eq!(sent(&mut session, &secrets("c1", "r2")).0, ["c1"]);
}

#[test]
fn a_rejected_version_is_told_and_not_sent_again_but_the_next_is() {
    let mut session = Session::default();
    session.ask(delta(&["default"]).into()).unwrap();
    let (_, nonce) = sent(&mut session, &secrets("c1", "r1"));
    let error = Status { message: "no good".into(), ..Status::default() };
    let request = DeltaDiscoveryRequest {
        response_nonce: nonce.clone(),
        error_detail: Some(error),
        ..DeltaDiscoveryRequest::default()
    };
    assert_eq!(session.ask(request.clone().into()).unwrap(), [Note::Rejected("no good".into())]);
    assert_eq!(session.last(), ["default"]);
    assert!(session.due(&secrets("c1", "r1")).is_none());
    assert_eq!(sent(&mut session, &secrets("c2", "r1")).0, ["c2"]);
    assert_eq!(session.ask(request.into()).unwrap(), [], "of a response that is not the last one");
}

#[test]
fn unknown_names_have_no_answer_and_many_names_end_the_stream() {
    let mut session = Session::default();
    let notes = session.ask(delta(&["file:/etc/shadow"]).into()).unwrap();
    assert_eq!(notes, [Note::Unknown("file:/etc/shadow".into())]);
    assert!(session.due(&secrets("c1", "r1")).is_none());
    let long = "x".repeat(100_000);
    let Note::Unknown(logged) = session.ask(delta(&[&long]).into()).unwrap().remove(0) else { panic!() };
    assert!(logged.len() <= MOST_LOGGED);
    assert_eq!(session.ask(delta(&["x"; MOST_NAMES + 1]).into()), Err(TooMany));
}

mod laws {
    use super::*;
    use proptest::{prelude::*, test_runner::RngSeed};
    use std::collections::BTreeMap;

    /// What a client does, or what happens to it.
    #[derive(Clone, Debug)]
    enum Step {
        Subscribe(usize),
        Unsubscribe(usize),
        Renew(u8),
        Ack,
        Nack,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_usize).prop_map(Step::Subscribe),
            (0..3_usize).prop_map(Step::Unsubscribe),
            (0..4_u8).prop_map(Step::Renew),
            Just(Step::Ack),
            Just(Step::Nack),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2_000,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Whatever happens, a client has the newest of each secret that it wants, and is sent nothing twice unless it asks.
        #[test]
        fn a_client_has_what_it_wants(steps in proptest::collection::vec(step(), 0..40)) {
            const NAMES: [&str; 3] = ["default", "ROOTCA", "nobody"];
            let (mut session, mut now) = (Session::default(), secrets("0", "r"));
            let (mut wants, mut has, mut nonce) = (BTreeMap::new(), BTreeMap::new(), String::new());
            for step in steps {
                let mut request = delta(&[]);
                match step {
                    Step::Subscribe(name) => {
                        request = delta(&[NAMES[name]]);
                        wants.insert(NAMES[name], ());
                        has.remove(NAMES[name]);
                    }
                    Step::Unsubscribe(name) => {
                        request.resource_names_unsubscribe = vec![NAMES[name].into()];
                        wants.remove(NAMES[name]);
                        has.remove(NAMES[name]);
                    }
                    Step::Renew(version) => now = secrets(&version.to_string(), "r"),
                    Step::Ack => request.response_nonce.clone_from(&nonce),
                    Step::Nack => {
                        request.response_nonce.clone_from(&nonce);
                        request.error_detail = Some(Status::default());
                    }
                }
                session.ask(request.into()).unwrap();
                if let Some(reply) = session.due(&now) {
                    prop_assert_ne!(&reply.nonce, &nonce);
                    nonce = reply.nonce;
                    for secret in reply.secrets {
                        prop_assert!(wants.contains_key(secret.name));
                        prop_assert_ne!(has.insert(secret.name, secret.version.clone()), Some(secret.version));
                    }
                }
                for secret in &now {
                    if wants.contains_key(secret.name) {
                        prop_assert_eq!(has.get(secret.name), Some(&secret.version));
                    }
                }
            }
        }
    }
}
