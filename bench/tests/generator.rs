//! The generator as a process, against a server, and against a floor that sends the same.
#![allow(clippy::unwrap_used, clippy::panic)] // what a test's helpers cannot have fails the test

mod support;

use std::{
    path::Path,
    time::{Duration, Instant},
};
use support::{Manner, Resources, Server};
use tombolo_bench::{
    clock::Moment,
    fixture::Mesh,
    floor::Floor,
    generator::{Generator, Holdings, Received, Transcript},
    oracle,
    sequence::Sequence,
};

const MESH: Mesh = Mesh { services: 200, endpoints: 5, namespaces: 3 };
const CLIENTS: usize = 20;
const SOON: Duration = Duration::from_secs(60);

fn generator() -> Generator {
    Generator::start(Path::new(env!("CARGO_BIN_EXE_tombolo-bench")), None).unwrap()
}

fn edited(service: usize, sequence: u32) -> Resources {
    Resources::of(MESH, Some((service, Sequence::new(sequence))))
}

/// All clients hold the same: every assignment of the fixture, with its endpoints.
fn assert_holds(holdings: &[Holdings], edit: Option<(usize, Sequence)>) {
    let [all] = holdings else { panic!("{} different holdings", holdings.len()) };
    assert_eq!(all.clients, (0..CLIENTS).collect::<Vec<_>>());
    let of = |service| edit.and_then(|(edited, sequence)| (edited == service).then_some(sequence));
    oracle::endpoints(holdings, MESH, of).unwrap();
    let count = |kind| all.resources.iter().filter(|r| r.kind == kind).count();
    assert_eq!((count("cds"), count("lds"), count("rds")), (MESH.services, 1, 1));
}

/// Everyone received the edit, after it was made. Returns when the last one did.
fn assert_arrived(generator: &mut Generator, sequence: Sequence, made: Moment) -> Moment {
    let arrivals = generator.arrivals().unwrap();
    let [arrival] = &*arrivals else { panic!("{} edits", arrivals.len()) };
    assert_eq!((arrival.sequence, arrival.at.len()), (sequence, CLIENTS));
    assert!(arrival.at.iter().all(|at| at.is_some_and(|at| at > made)));
    arrival.last().unwrap()
}

#[test]
fn clients_start_follow_edits_and_come_back() {
    let server = Server::start(Manner::Serve, Resources::of(MESH, None));
    let mut generator = generator();
    let settled = generator.connect(server.address, CLIENTS, MESH.namespaces, SOON).unwrap();
    assert!(settled.clients == CLIENTS && settled.last_request > settled.first_connect);
    let holdings = generator.holdings().unwrap();
    assert_holds(&holdings, None);
    assert!(
        holdings[0].resources.iter().all(|r| r.version == r.hash),
        "this server's versions are hashes of the content"
    );
    let received = generator.received().unwrap();
    let expected = (CLIENTS * MESH.services) as u64;
    assert_eq!((received["cds"].resources, received["eds"].resources), (expected, expected));
    assert_eq!((received["rds"].responses, received["sds"]), (CLIENTS as u64, Received::default()));
    let nodes = server.nodes.lock().unwrap().clone();
    assert_eq!(nodes.len(), CLIENTS);
    assert!(nodes.contains("sidecar~10.128.0.7~client-00007.ns-001~ns-001.svc.cluster.local"), "{nodes:?}");

    let made = Moment::now();
    server.publish(edited(7, 1));
    generator.wait(Sequence::new(1), SOON).unwrap();
    assert_arrived(&mut generator, Sequence::new(1), made);
    assert_holds(&generator.holdings().unwrap(), Some((7, Sequence::new(1))));

    generator.received().unwrap();
    let again = generator.reconnect(server.address, SOON).unwrap();
    assert!(again.clients == CLIENTS && again.first_connect > made);
    // Only one service differs from what they hold: all that comes is its assignment.
    server.publish(edited(7, 2));
    generator.wait(Sequence::new(2), SOON).unwrap();
    let received = generator.received().unwrap();
    assert_eq!(received["eds"].resources, CLIENTS as u64, "{received:?}");
    assert!(["cds", "lds", "rds"].iter().all(|kind| received[*kind].bytes == 0), "{received:?}");
}

#[test]
fn a_floor_sends_what_the_server_sent() {
    let server = Server::start(Manner::Serve, Resources::of(MESH, None));
    let dir = tempfile::tempdir().unwrap();
    let [cold, change] = ["cold", "change"].map(|name| dir.path().join(name));
    let mut generator = generator();
    generator.record().unwrap();
    generator.connect(server.address, CLIENTS, MESH.namespaces, SOON).unwrap();
    generator.save(&cold).unwrap();
    let started = generator.received().unwrap();
    generator.record().unwrap();
    server.publish(edited(3, 1));
    generator.wait(Sequence::new(1), SOON).unwrap();
    generator.save(&change).unwrap();
    let changed = generator.received().unwrap();
    let (cold, change) = (Transcript::load(&cold).unwrap(), Transcript::load(&change).unwrap());
    assert_eq!(cold.messages.iter().map(|m| m.after).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let [change] = &*change.messages else { panic!("{change:?}") };

    let floor = Floor::start(cold.clone()).unwrap();
    let mut clients = self::generator();
    clients.connect(floor.address(), CLIENTS, MESH.namespaces, SOON).unwrap();
    assert_eq!(clients.received().unwrap(), started);
    assert_holds(&clients.holdings().unwrap(), None);
    for sequence in [1, 2].map(Sequence::new) {
        let made = floor.burst(&change.with_sequence(sequence));
        clients.wait(sequence, SOON).unwrap();
        assert_arrived(&mut clients, sequence, made);
        assert_holds(&clients.holdings().unwrap(), Some((3, sequence)));
        assert_eq!(clients.received().unwrap(), changed);
    }
}

#[test]
fn what_goes_wrong_is_said() {
    let refusing = Server::start(Manner::Refuse, Resources::default());
    let error = generator().connect(refusing.address, 2, 1, SOON).unwrap_err().to_string();
    assert!(error.contains("status 7, message \"not you\""), "{error}");

    let silent = Server::start(Manner::Silent, Resources::default());
    let start = Instant::now();
    let error = generator().connect(silent.address, 3, 1, Duration::from_millis(300)).unwrap_err().to_string();
    assert!(error.contains("3 of 3 clients wait: client 0 for a response of cds"), "{error}");
    assert!(start.elapsed() < SOON);

    let server = Server::start(Manner::Serve, Resources::of(MESH, None));
    let mut waiting = generator();
    waiting.connect(server.address, 3, 1, SOON).unwrap();
    let error = waiting.wait(Sequence::new(9), Duration::from_millis(10)).unwrap_err().to_string();
    assert!(error.contains("edit 9 has reached 0 of 3 clients"), "{error}");

    let (address, mut late) = (silent.address, generator());
    drop(silent);
    let error = late.connect(address, 1, 1, SOON).unwrap_err().to_string();
    assert!(error.contains("cannot connect"), "{error}");
}
