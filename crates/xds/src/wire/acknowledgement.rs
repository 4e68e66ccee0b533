//! The answer to a health report: a response without resources, whose nonce is the report's number.

use super::PREFIX;
use bytes::{BufMut, Bytes};
use prost::Message;
use tombolo_proto::{
    Framing,
    agent::HEALTH_REPORT,
    envoy::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse},
};

/// The whole message, framed.
pub(crate) fn acknowledgement(framing: Framing, sequence: u64) -> Bytes {
    let (type_url, nonce) = (HEALTH_REPORT.to_owned(), sequence.to_string());
    let message = match framing {
        Framing::Delta => DeltaDiscoveryResponse { type_url, nonce, ..Default::default() }.encode_to_vec(),
        Framing::StateOfTheWorld => DiscoveryResponse { type_url, nonce, ..Default::default() }.encode_to_vec(),
    };
    let mut framed = Vec::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32); // some hundred bytes
    framed.put_slice(&message);
    framed.into()
}
