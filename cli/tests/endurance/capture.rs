//! What a listener on the wire gets to see between gateway and workload.

use super::{client::Request, world::World};
use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SocketType, eth, recv, socket, sockopt},
};
use std::{
    env,
    net::SocketAddrV4,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Longer than any packet of a loopback interface.
const LONGEST: usize = 1 << 16;
const IPV4_HEADER: usize = 20;
const TCP: u8 = 6;

/// A packet capture of one address and port, until its end.
struct Capture {
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    listener: thread::JoinHandle<()>,
}

impl Capture {
    /// `None` where this user may not listen.
    fn start(at: SocketAddrV4) -> Option<Self> {
        let socket = open()?;
        let (over, seen) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let (ended, found) = (over.clone(), seen.clone());
        let listener = thread::spawn(move || {
            let mut packet = vec![0; LONGEST];
            loop {
                match recv(&socket, &mut packet[..], RecvFlags::empty()) {
                    Ok((length, _)) if concerns(&packet[..length], at) => {
                        found.lock().unwrap().push(packet[..length].to_vec());
                    }
                    Ok(_) | Err(Errno::INTR) => {}
                    // Nothing more for a while: all that was sent before the end is here.
                    Err(Errno::AGAIN) if ended.load(Ordering::Relaxed) => return,
                    Err(Errno::AGAIN) => {}
                    Err(error) => panic!("the capture failed: {error}"),
                }
            }
        });
        Some(Self { over, seen, listener })
    }

    fn has_seen(&self, text: &str) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.iter().any(|packet| packet.windows(text.len()).any(|part| part == text.as_bytes()))
    }

    /// How many bytes were seen.
    fn bytes(&self) -> usize {
        self.seen.lock().unwrap().iter().map(Vec::len).sum()
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.listener.join().unwrap();
    }
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
    let Some(capture) = Capture::start(world.workload) else { return };
    let ask = |to, marker| Request { to, target: "/", host: "any.example", marker }.answer().unwrap();

    let before = capture.bytes();
    let (status, body) = ask(world.gateway, "encrypted-marker-4711");
    assert!(status == 200 && body.contains("spiffe://"), "{status} {body}");
    world.until("the capture saw it", || (capture.bytes() > before + body.len()).then_some(()));
    // Plaintext to the same port shows that the capture would have seen it.
    ask(world.workload, "plaintext-marker-4711");
    world.until("the capture sees plaintext", || capture.has_seen("plaintext-marker-4711").then_some(()));
    for plaintext in ["encrypted-marker-4711", "x-forwarded-client-cert", "spiffe://"] {
        assert!(!capture.has_seen(plaintext), "the capture holds {plaintext:?}");
    }
    capture.end();
}
