//! What a listener on the wire gets to see between gateway and workload.

use super::{client::Request, support::PATIENCE, world::World};
use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SocketType, eth, recv, socket, sockopt},
};
use std::{
    env,
    net::SocketAddrV4,
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// Longer than any packet of a loopback interface.
const LONGEST: usize = 1 << 16;
/// Bytes of packets that may wait for us on a busy machine.
const BUFFER: usize = 1 << 26;
const IPV4_HEADER: usize = 20;
const TCP: u8 = 6;

/// A packet capture of one address and port, until its last packet.
struct Capture {
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    listener: thread::JoinHandle<()>,
}

impl Capture {
    /// Ends with the packet that holds `last`: packets come in the order in which they were sent. It does not wait for silence, as
    /// others use the interface too. `None` where this user may not listen.
    fn start(at: SocketAddrV4, last: &'static str) -> Option<Self> {
        let socket = open()?;
        let seen = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let found = seen.clone();
        let listener = thread::spawn(move || listen(&socket, at, last, &found));
        Some(Self { seen, listener })
    }

    fn has_seen(&self, text: &str) -> bool {
        self.seen.lock().unwrap().iter().any(|packet| holds(packet, text))
    }

    /// How many bytes were seen.
    fn bytes(&self) -> usize {
        self.seen.lock().unwrap().iter().map(Vec::len).sum()
    }

    fn is_over(&self) -> bool {
        self.listener.is_finished()
    }
}

fn listen(socket: &OwnedFd, at: SocketAddrV4, last: &str, seen: &Mutex<Vec<Vec<u8>>>) {
    let (deadline, mut packet) = (Instant::now() + PATIENCE, vec![0; LONGEST]);
    while Instant::now() < deadline {
        match recv(socket, &mut packet[..], RecvFlags::empty()) {
            Ok((length, _)) if concerns(&packet[..length], at) => {
                let packet = &packet[..length];
                seen.lock().unwrap().push(packet.to_vec());
                if holds(packet, last) {
                    return;
                }
            }
            // Others', or none for a while.
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => panic!("the capture failed: {error}"),
        }
    }
}

fn holds(packet: &[u8], text: &str) -> bool {
    packet.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Of every packet of IPv4, from its own header on. That takes root's rights: others skip the test, and say so.
#[allow(clippy::print_stdout)]
fn open() -> Option<OwnedFd> {
    let socket = match socket(AddressFamily::PACKET, SocketType::DGRAM, Some(eth::IP)) {
        Ok(socket) => socket,
        Err(error) => {
            let must = rustix::process::geteuid().is_root() && env::var("CI").as_deref() == Ok("true");
            assert!(!must, "packets cannot be captured: {error}");
            println!("skipped, may not capture packets: {error}");
            return None;
        }
    };
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_millis(200))).unwrap();
    // What others send meanwhile passes through it too.
    sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).unwrap();
    Some(socket)
}

/// Whether it is TCP from or to there.
fn concerns(packet: &[u8], at: SocketAddrV4) -> bool {
    let length = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    if length < IPV4_HEADER || packet.len() < length + 4 || packet[9] != TCP {
        return false;
    }
    let (address, port) = (at.ip().octets(), at.port().to_be_bytes());
    let from = packet[12..16] == address && packet[length..length + 2] == port;
    from || packet[16..20] == address && packet[length + 2..length + 4] == port
}

#[test]
fn a_packet_capture_between_gateway_and_workload_holds_no_plaintext() {
    let Some(world) = World::start("{}") else { return };
    let Some(capture) = Capture::start(world.workload, "plaintext-marker-4711") else { return };
    let ask = |to, marker| Request { to, target: "/", host: "any.example", marker }.answer().unwrap();

    let before = capture.bytes();
    let (status, body) = ask(world.gateway, "encrypted-marker-4711");
    assert!(status == 200 && body.contains("spiffe://"), "{status} {body}");
    world.until("the capture saw it", || (capture.bytes() > before + body.len()).then_some(()));
    // Plaintext to the same port shows that the capture would have seen it.
    world.until("the capture sees plaintext", || {
        ask(world.workload, "plaintext-marker-4711");
        capture.is_over().then_some(())
    });
    assert!(capture.has_seen("plaintext-marker-4711"));
    for plaintext in ["encrypted-marker-4711", "x-forwarded-client-cert", "spiffe://"] {
        assert!(!capture.has_seen(plaintext), "the capture holds {plaintext:?}");
    }
}
