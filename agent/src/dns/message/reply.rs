//! Writes all answers but those of the mesh.

use super::{Malformed, PAYLOAD, Query};
use hickory_proto::op::{Edns, Message, Metadata, ResponseCode};

/// The answer to what could not be served: its id, its flags and the error. The question is not repeated, it may be what is wrong.
pub(crate) fn refusal(refusal: &Malformed) -> Option<Vec<u8>> {
    let mut message = empty(&refusal.metadata, refusal.code);
    if refusal.code.high() > 0 {
        message.edns = Some(edns(false));
    }
    message.to_vec().ok()
}

/// The answer to a question that could not be answered.
pub(crate) fn failure(query: &Query, code: ResponseCode) -> Option<Vec<u8>> {
    reply(query, empty(&query.metadata, code))
}

/// Another server's answer as this client's: its id, its spelling of the name, its EDNS, and no more than it has room for. What does not
/// fit is left out entirely, and the client is told to come over TCP.
pub(crate) fn reply(query: &Query, mut answer: Message) -> Option<Vec<u8>> {
    answer.metadata.id = query.metadata.id;
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.checking_disabled = query.metadata.checking_disabled;
    answer.queries = vec![query.question.clone()];
    answer.edns = query.edns.map(|client| edns(client.dnssec_ok));
    answer.signature = None;
    if answer.edns.is_none() && answer.metadata.response_code.high() > 0 {
        answer.metadata.response_code = ResponseCode::ServFail;
    }
    let whole = answer.to_vec().ok().filter(|bytes| bytes.len() <= query.limit);
    whole.or_else(|| answer.truncate().to_vec().ok())
}

fn empty(request: &Metadata, code: ResponseCode) -> Message {
    let mut message = Message::error_msg(request.id, request.op_code, code);
    message.metadata.recursion_desired = request.recursion_desired;
    message.metadata.checking_disabled = request.checking_disabled;
    message.metadata.recursion_available = true;
    message
}

fn edns(dnssec_ok: bool) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD).set_dnssec_ok(dnssec_ok);
    edns
}

/// Another server's answer that cannot be read here, as it came. It answers the question; only its id is ours.
pub(crate) fn relay(query: &Query, mut packet: Vec<u8>) -> Option<Vec<u8>> {
    if packet.len() > query.limit {
        let mut message = empty(&query.metadata, ResponseCode::NoError);
        message.metadata.truncation = true;
        return reply(query, message);
    }
    packet.get_mut(..2)?.copy_from_slice(&query.metadata.id.to_be_bytes());
    Some(packet)
}
