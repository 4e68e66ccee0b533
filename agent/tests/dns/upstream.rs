//! A name server for tests: it counts what it is asked, and answers as it is told to.

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{RData, Record, rdata},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    sync::Notify,
    task::JoinSet,
};

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Not at all.
    Silent,
    /// With its address, once it is told to.
    Late,
    /// With its address and this TTL.
    Answers { ttl: u32 },
    /// With an error.
    Fails(ResponseCode),
    /// Over UDP only that the answer is longer; over TCP with so many addresses.
    Long(u8),
    /// With answers to other questions, under other ids, and with noise; then with the right one.
    Noisy,
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    /// What it answers names with, so that tests see who answered.
    ip: Ipv4Addr,
    manner: Mutex<Manner>,
    asked: AtomicUsize,
    last: Mutex<Option<(Message, SocketAddr)>>,
    /// Told of each question.
    heard: Notify,
    /// Late answers wait for it.
    released: Notify,
}

impl Upstream {
    pub(crate) async fn start(ip: [u8; 4], manner: Manner) -> Self {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let address = udp.local_addr().unwrap();
        let state = State {
            ip: ip.into(),
            manner: Mutex::new(manner),
            asked: AtomicUsize::new(0),
            last: Mutex::default(),
            heard: Notify::new(),
            released: Notify::new(),
        };
        let state = Arc::new(state);
        let mut tasks = JoinSet::new();
        tasks.spawn(over_udp(udp, state.clone()));
        tasks.spawn(over_tcp(tcp, state.clone()));
        Self { address, state, _tasks: tasks }
    }

    pub(crate) fn set(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Waits until it was asked so often. No clock: tests let time pass meanwhile, and the asker has a deadline of its own.
    pub(crate) async fn until_asked(&self, times: usize) {
        while self.asked() < times {
            self.state.heard.notified().await;
        }
    }

    /// Lets it answer late.
    pub(crate) fn release(&self) {
        self.state.released.notify_one();
    }

    /// The last question, and where it came from.
    pub(crate) fn last(&self) -> (Message, SocketAddr) {
        self.state.last.lock().unwrap().clone().unwrap()
    }
}

impl State {
    fn answers(&self, packet: &[u8], from: SocketAddr, tcp: bool) -> Vec<Vec<u8>> {
        let question = Message::from_vec(packet).unwrap();
        self.asked.fetch_add(1, Ordering::SeqCst);
        *self.last.lock().unwrap() = Some((question.clone(), from));
        self.heard.notify_one();
        let mut answer = question.clone();
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.recursion_available = true;
        let mut add = |ttl, ip| {
            let name = answer.queries[0].name().clone();
            answer.add_answer(Record::from_rdata(name, ttl, RData::A(rdata::A(ip))));
        };
        let manner = *self.manner.lock().unwrap();
        match manner {
            Manner::Silent => return Vec::new(),
            Manner::Late => add(60, self.ip),
            Manner::Answers { ttl } => add(ttl, self.ip),
            Manner::Long(count) if tcp => (0..count).for_each(|last| add(60, Ipv4Addr::new(192, 0, 2, last))),
            Manner::Long(_) => answer.metadata.truncation = true,
            Manner::Fails(code) => answer.metadata.response_code = code,
            Manner::Noisy => {
                add(60, self.ip);
                let mut other = answer.clone();
                other.metadata.id ^= 1;
                let mut evil = answer.clone();
                evil.queries[0].set_query_type(hickory_proto::rr::RecordType::AAAA);
                let all = [other, evil, question, answer].map(|message| message.to_vec().unwrap());
                return [vec![b"noise".to_vec()], all.to_vec()].concat();
            }
        }
        vec![answer.to_vec().unwrap()]
    }
}

async fn over_udp(socket: UdpSocket, state: Arc<State>) {
    let mut packet = [0; 4096];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut packet).await else { continue };
        let answers = state.answers(&packet[..len], from, false);
        if *state.manner.lock().unwrap() == Manner::Late {
            state.released.notified().await;
        }
        for answer in answers {
            socket.send_to(&answer, from).await.ok();
        }
    }
}

async fn over_tcp(listener: TcpListener, state: Arc<State>) {
    loop {
        let (mut stream, from) = listener.accept().await.unwrap();
        let Ok(len) = stream.read_u16().await else { continue };
        let mut packet = vec![0; len.into()];
        stream.read_exact(&mut packet).await.unwrap();
        for answer in state.answers(&packet, from, true) {
            stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }
}
