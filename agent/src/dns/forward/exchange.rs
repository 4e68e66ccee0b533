//! Puts one question to one server.

use super::{
    super::message::Query,
    verdict::{Answer, Verdict, judge},
};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

/// What servers are told to send over UDP at most: what passes every network in one piece (DNS flag day 2020).
const PAYLOAD: u16 = 1232;
/// Room for what a server sends that does not keep to that.
const BUFFER: usize = 2048;
/// Packets that may come to a question's port besides its answer. Whoever sends more is guessing ids.
const MOST_FOREIGN: usize = 16;

/// Why a server's answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
    #[error("it answers with {}", .0.metadata.response_code)]
    Refused(Box<Message>),
    #[error("it sends what is no answer to the question")]
    Foreign,
    #[error("the question cannot be written: {0}")]
    Unwritable(#[from] hickory_proto::ProtoError),
}

impl Failure {
    /// For the metric.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::Foreign => "foreign",
            Self::Unwritable(_) => "unwritable",
        }
    }
}

/// Asks over UDP, and over TCP where the answer is too long. Ends only with an answer or a failure: whoever calls limits the time.
pub(crate) async fn ask(server: SocketAddr, query: &Query) -> Result<Answer, Failure> {
    match over_udp(server, query).await? {
        Some(answer) => Ok(answer),
        None => over_tcp(server, query).await,
    }
}

/// A socket of its own for each question: an answer has to guess its port as well as its id. It is connected, so that the system passes
/// on nothing but the server's packets, and the server's absence.
async fn over_udp(server: SocketAddr, query: &Query) -> Result<Option<Answer>, Failure> {
    let any = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let id = rand::random();
    socket.send(&question(query, id)?).await?;
    let mut buffer = vec![0; BUFFER];
    for _ in 0..MOST_FOREIGN {
        let len = socket.recv(&mut buffer).await?;
        match judge(query, id, &buffer[..len]) {
            Verdict::Foreign => {}
            Verdict::Truncated => return Ok(None),
            // It may have been cut to the room that there was.
            Verdict::Answer(Answer::Opaque(_)) if len == BUFFER => return Ok(None),
            Verdict::Answer(answer) => return Ok(Some(answer)),
            Verdict::Refused(message) => return Err(Failure::Refused(message)),
        }
    }
    Err(Failure::Foreign)
}

async fn over_tcp(server: SocketAddr, query: &Query) -> Result<Answer, Failure> {
    let mut stream = TcpStream::connect(server).await?;
    let id = rand::random();
    let question = question(query, id)?;
    let len = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), &*question].concat()).await?;
    let len = stream.read_u16().await?;
    let mut packet = vec![0; len.into()];
    stream.read_exact(&mut packet).await?;
    match judge(query, id, &packet) {
        Verdict::Answer(answer) => Ok(answer),
        Verdict::Refused(message) => Err(Failure::Refused(message)),
        Verdict::Foreign | Verdict::Truncated => Err(Failure::Foreign),
    }
}

/// The client's question under another id. EDNS is used where the client uses it: what its server did not have to understand so far, it
/// does not have to now.
pub(super) fn question(query: &Query, id: u16) -> Result<Vec<u8>, hickory_proto::ProtoError> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.checking_disabled = query.metadata.checking_disabled;
    message.metadata.authentic_data = query.metadata.authentic_data;
    message.metadata.response_code = ResponseCode::NoError;
    message.add_query(query.question.clone());
    message.edns = query.edns.map(|client| {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD).set_dnssec_ok(client.dnssec_ok);
        edns
    });
    message.to_vec()
}
