//! Control planes that are of no use: those that fell silent are left within a bound, those of another age are named.

use super::{
    control_plane::{Behaviour, ControlPlane},
    world::{Machine, within},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tombolo_agent::{
    identity::{Proof, channel},
    upstream::{Attempt, ConnectError, Upstream},
};
use tombolo_proto::{
    ResourceType,
    agent::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse, DELTA_ADS},
    envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};
use tonic::{Code, Status};

/// Passes bytes on until it is frozen. Then every connection stays open, and nothing comes through, as when a machine hangs.
struct Wire {
    address: SocketAddr,
    frozen: Arc<AtomicBool>,
}

impl Wire {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, frozen) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let cold = frozen.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(server).unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to, cold) = (from.try_clone().unwrap(), to.try_clone().unwrap(), cold.clone());
                    thread::spawn(move || pass(from, to, &cold));
                }
            }
        });
        Self { address, frozen }
    }

    fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, frozen: &AtomicBool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !frozen.load(Ordering::SeqCst) && to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// An upstream that knows nobody yet.
fn upstream(machine: &Machine, address: SocketAddr) -> Upstream {
    machine.upstream(address.to_string(), channel().1)
}

async fn failure(machine: &Machine, address: SocketAddr) -> (Attempt, String) {
    let (upstream, proof) = (upstream(machine, address), Proof::default());
    let error = within("an answer", Box::pin(upstream.connect_with(&proof))).await.unwrap_err();
    let message = error.to_string();
    let ConnectError::Unreachable(mut attempts) = error else { panic!("{message}") };
    (attempts.pop().unwrap().1, message)
}

#[tokio::test]
async fn one_that_takes_connections_and_says_nothing_is_left() {
    let control_plane = ControlPlane::start(Duration::from_secs(3600)).await;
    let machine = Machine::new(&control_plane);
    // The system takes connections for it. Nobody else does.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    tokio::time::pause();
    let (attempt, message) = failure(&machine, silent.local_addr().unwrap()).await;
    assert!(matches!(attempt, Attempt::Timeout), "{message}");
    assert!(message.contains("no answer within 5 seconds"), "{message}");
}

#[tokio::test]
async fn one_that_falls_silent_amid_a_stream_is_left_within_forty_seconds() {
    let control_plane = ControlPlane::start(Duration::from_secs(3600)).await;
    let machine = Machine::new(&control_plane);
    let wire = Wire::to(control_plane.address);
    let connection = within("a connection", Box::pin(upstream(&machine, wire.address).connect())).await.unwrap();
    let (requests, receiver) = mpsc::channel(1);
    let requested = ReceiverStream::new(receiver);
    let mut responses = connection.stream::<_, DeltaDiscoveryRequest, DeltaDiscoveryResponse>(DELTA_ADS, requested);
    let type_url = ResourceType::Listener.url().to_owned();
    requests.send(DeltaDiscoveryRequest { type_url, ..Default::default() }).await.unwrap();
    within("a first response", responses.message()).await.unwrap().unwrap();

    wire.freeze();
    // From here on nothing comes, so the clock may run ahead whenever everybody waits.
    tokio::time::pause();
    let start = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(60), responses.message()).await;
    let error = ended.expect("it is waited for without end").unwrap_err();
    assert!(start.elapsed() <= Duration::from_secs(41), "{:?}: {error}", start.elapsed());
    assert!(connection.is_closed(), "the connection is given up with all that is on it");
    drop(requests);
}

/// RFC 4346: a ServerHello of TLS 1.1, and the alert of a server that finds nothing in common.
#[tokio::test]
async fn one_that_speaks_no_safe_tls_is_named_as_such() {
    let control_plane = ControlPlane::start(Duration::from_secs(3600)).await;
    let machine = Machine::new(&control_plane);
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    let alert = vec![0x15, 3, 2, 0, 2, 2, 70];
    for answer in [hello, alert] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 4096];
            assert!(stream.read(&mut hello).unwrap() > 0);
            stream.write_all(&answer).unwrap();
            while stream.read(&mut hello).is_ok_and(|count| count > 0) {}
        });
        let (attempt, message) = failure(&machine, address).await;
        assert!(matches!(attempt, Attempt::Tls(_)), "{message}");
        assert!(message.contains("it speaks no TLS that is safe, have it speak 1.3 or 1.2"), "{message}");
        server.join().unwrap();
    }
}

#[tokio::test]
async fn one_that_speaks_tls_1_2_is_spoken_to() {
    let control_plane = ControlPlane::of_yesterday().await;
    let machine = Machine::new(&control_plane);
    let agent = machine.agent(&control_plane).await;
    agent.ready().await;
    // With the certificate, as well.
    control_plane.behave(Behaviour::Refuse(Status::permission_denied("not now")));
    std::fs::remove_file(machine.path("token")).unwrap();
    let upstream = machine.upstream(control_plane.address.to_string(), agent.current.clone());
    let connection = within("a connection", Box::pin(upstream.connect())).await.unwrap();
    let answer = connection.unary::<_, CertificateResponse>(CREATE_CERTIFICATE, CertificateRequest::default());
    assert_eq!(within("an answer", answer).await.unwrap_err().code(), Code::PermissionDenied);
    assert!(control_plane.seen().last().unwrap().shown.is_some());
}
