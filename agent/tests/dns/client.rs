//! A client, and the agent's DNS that it asks, on sockets of this machine.

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tombolo_agent::dns::{Config, Dns, Resolv, Scope, Sockets, serve};
use tombolo_proto::agent::NameInfo;

/// What no answer may take longer than; nothing is measured with it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) dns: Arc<Dns>,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

/// Of a machine whose name servers are these.
pub(crate) fn config(servers: &[SocketAddr]) -> Config {
    let mut resolv = Resolv::parse(b"");
    resolv.servers = servers.to_vec();
    Config::new(Scope::new("shop", "cluster.local", ["corp.example.com"]), resolv)
}

impl Server {
    pub(crate) async fn start(config: Config) -> Self {
        let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = sockets.address().unwrap();
        let dns = Dns::new(config, address);
        let ips = (0..100u8).map(|last| Ipv4Addr::new(10, 1, 0, last).to_string()).collect();
        dns.apply("many.example.com", Some(&NameInfo { ips, ..NameInfo::default() }));
        dns.apply("one.example.com", Some(&NameInfo { ips: vec!["10.0.0.1".into()], ..NameInfo::default() }));
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(serve(dns.clone(), sockets, async move { _ = stopped.await }));
        Self { dns, address, stop: Some(stop), running: Some(running) }
    }

    /// Asks over UDP for addresses.
    pub(crate) async fn ask(&self, name: &str) -> Message {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.send_to(&question(name).to_vec().unwrap(), self.address).await.unwrap();
        let mut packet = [0; 4096];
        let received = timeout(DEADLINE, socket.recv_from(&mut packet)).await;
        let (len, _) = received.unwrap_or_else(|_| panic!("no answer for {name}: {:#?}", self.dns.status())).unwrap();
        Message::from_vec(&packet[..len]).unwrap()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) fn count(&self, kind: &str) -> u64 {
        self.dns.status().queries[kind]
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        timeout(DEADLINE, self.running.take().unwrap()).await.expect("it stops").unwrap();
    }
}

pub(crate) fn question(name: &str) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message
}

pub(crate) fn framed(message: &Message) -> Vec<u8> {
    let bytes = message.to_vec().unwrap();
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), &*bytes].concat()
}

pub(crate) async fn send(stream: &mut TcpStream, name: &str) {
    stream.write_all(&framed(&question(name))).await.unwrap();
}

pub(crate) async fn receive(stream: &mut TcpStream) -> Message {
    let receive = async {
        let mut packet = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut packet).await.unwrap();
        Message::from_vec(&packet).unwrap()
    };
    timeout(DEADLINE, receive).await.expect("an answer over TCP")
}

/// The addresses of an answer, as text.
pub(crate) fn addresses(answer: &Message) -> Vec<String> {
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}
