//! What another server's packet is worth. Pure.

use super::super::message::Query;
use hickory_proto::{
    op::{Header, Message, MessageType, ResponseCode},
    serialize::binary::{BinDecodable as _, BinDecoder},
};

/// An answer that can be given to the client.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Message(Box<Message>),
    /// It answers the question, but holds something that cannot be read here. Whoever asked for it may be able to.
    Opaque(Vec<u8>),
}

/// A packet that came from where the question was sent to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Another's answer, a forged one, or none. The right one may yet come.
    Foreign,
    /// Too long for UDP: the server is to be asked over TCP.
    Truncated,
    Answer(Answer),
    /// The server will not, or cannot, answer. Another may.
    Refused(Box<Message>),
}

/// Judges a packet as an answer to a question that was sent under an id.
pub(crate) fn judge(query: &Query, id: u16, packet: &[u8]) -> Verdict {
    let mut decoder = BinDecoder::new(packet);
    let Ok(header) = Header::read(&mut decoder) else { return Verdict::Foreign };
    if header.id != id || header.message_type != MessageType::Response || header.op_code != query.metadata.op_code {
        return Verdict::Foreign;
    }
    let failed =
        !matches!(header.response_code, ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::YXDomain);
    // Servers that did not understand a question may leave it out.
    let mute = failed && header.counts.queries == 0;
    let question = Message::read_queries(&mut decoder, usize::from(header.counts.queries.min(2)));
    if !mute && !question.is_ok_and(|question| query.is_answered_by(&question)) {
        return Verdict::Foreign;
    }
    match Message::from_vec(packet) {
        Ok(message) if failed || message.metadata.response_code.high() > 0 => Verdict::Refused(Box::new(message)),
        _ if header.truncation => Verdict::Truncated,
        Ok(message) => Verdict::Answer(Answer::Message(Box::new(message))),
        Err(_) if failed => Verdict::Foreign,
        Err(_) => Verdict::Answer(Answer::Opaque(packet.to_vec())),
    }
}
