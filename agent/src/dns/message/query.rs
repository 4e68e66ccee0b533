//! Reads what clients ask.

use super::{super::table::LONGEST_NAME, PAYLOAD};
use hickory_proto::{
    op::{Header, Message, MessageType, Metadata, OpCode, ResponseCode},
    rr::{DNSClass, Name, RecordType},
    serialize::binary::{BinDecodable as _, BinDecoder},
};

/// What a message came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// One question of a client, and how it may be answered.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// Id and flags.
    pub(crate) metadata: Metadata,
    /// As the client wrote it, upper case and all: it expects to see it again.
    pub(crate) question: hickory_proto::op::Query,
    pub(crate) edns: Option<ClientEdns>,
    /// The longest answer that the client takes, in bytes.
    pub(crate) limit: usize,
}

/// What an OPT record says (RFC 6891). Options concern one hop, and none is needed on this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientEdns {
    pub(crate) dnssec_ok: bool,
}

/// Why a message is not served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not answered: it is an answer itself, or too short to answer. Servers that answer such can be set at each other.
    Silent,
    /// It is answered with an error alone.
    Error(Malformed),
}

/// An error, and what its answer repeats of the message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) metadata: Metadata,
    pub(crate) code: ResponseCode,
}

/// Reads one message of a client.
pub(crate) fn read(packet: &[u8], transport: Transport) -> Result<Query, Refusal> {
    let header = Header::read(&mut BinDecoder::new(packet)).map_err(|_| Refusal::Silent)?;
    if header.message_type == MessageType::Response {
        return Err(Refusal::Silent);
    }
    let error = |code| Refusal::Error(Malformed { metadata: header.metadata, code });
    if header.op_code != OpCode::Query {
        return Err(error(ResponseCode::NotImp));
    }
    // What nobody may ask for is refused before it is read: it costs nothing.
    if header.counts.queries != 1 || header.counts.answers != 0 || header.counts.authorities != 0 {
        return Err(error(ResponseCode::FormErr));
    }
    let mut message = Message::from_vec(packet).map_err(|_| error(ResponseCode::FormErr))?;
    let question = message.queries.pop().ok_or_else(|| error(ResponseCode::FormErr))?;
    if matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR) {
        return Err(error(ResponseCode::Refused));
    }
    if message.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Err(error(ResponseCode::BADVERS));
    }
    let payload = message.edns.as_ref().map_or(512, |edns| edns.max_payload().clamp(512, PAYLOAD));
    let limit = match transport {
        Transport::Udp => usize::from(payload),
        Transport::Tcp => usize::from(u16::MAX),
    };
    let edns = message.edns.map(|edns| ClientEdns { dnssec_ok: edns.flags().dnssec_ok });
    Ok(Query { metadata: header.metadata, question, edns, limit })
}

/// A question's name as text, in a place of its own: most are looked up only, and nothing needs to be allocated for that.
pub(crate) struct NameText {
    bytes: [u8; LONGEST_NAME],
    len: usize,
}

impl NameText {
    /// In lower case, without the final dot.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Query {
    /// The name that is asked for, where it may be one of the mesh: of class IN, and without dots inside its labels.
    pub(crate) fn host(&self) -> Option<NameText> {
        if self.question.query_class() != DNSClass::IN {
            return None;
        }
        text(self.question.name())
    }

    /// The same question: what answers one may answer the other. Compares as DNS does, without regard to case.
    pub(crate) fn is_answered_by(&self, questions: &[hickory_proto::op::Query]) -> bool {
        let [question] = questions else { return false };
        question.query_type() == self.question.query_type()
            && question.query_class() == self.question.query_class()
            && question.name().eq_ignore_root(self.question.name())
    }
}

fn text(name: &Name) -> Option<NameText> {
    let mut text = NameText { bytes: [0; LONGEST_NAME], len: 0 };
    for label in name {
        if text.len > 0 {
            *text.bytes.get_mut(text.len)? = b'.';
            text.len += 1;
        }
        let end = text.len + label.len();
        let place = text.bytes.get_mut(text.len..end)?;
        for (to, from) in place.iter_mut().zip(label) {
            *to = from.to_ascii_lowercase();
        }
        if label.contains(&b'.') {
            return None;
        }
        text.len = end;
    }
    Some(text)
}
