//! Counting a client's requests, from the server's side.

use super::{
    request::RESPONSE_NONCE,
    wire::{self, GRPC_HEADER, WireError},
};

/// Counts the requests that a client makes of its own; acknowledgements do not count. A floor answers by it.
#[derive(Debug, Default)]
pub struct RequestCounter {
    pending: Vec<u8>,
    count: u32,
}

/// What a client sent is no gRPC message of a request.
#[derive(Debug, thiserror::Error)]
#[error("a request is not gRPC")]
pub struct RequestError;

impl From<WireError> for RequestError {
    fn from(_: WireError) -> Self {
        Self
    }
}

impl RequestCounter {
    /// Takes the next piece of the client's stream.
    ///
    /// # Errors
    /// Where it is no gRPC.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), RequestError> {
        self.pending.extend_from_slice(piece);
        let mut used = 0;
        while let Some(len) = wire::grpc_len(&self.pending[used..])? {
            let (start, end) = (used + GRPC_HEADER, used + GRPC_HEADER + len);
            let Some(request) = self.pending.get(start..end) else { break };
            self.count += u32::from(!is_ack(request)?);
            used = end;
        }
        self.pending.drain(..used);
        if self.pending.is_empty() {
            self.pending = Vec::new(); // a client's largest request is thousands of times the usual one
        }
        Ok(())
    }

    /// How many there were.
    pub fn count(&self) -> u32 {
        self.count
    }
}

fn is_ack(request: &[u8]) -> Result<bool, WireError> {
    for field in wire::fields(request) {
        if field?.number == u64::from(RESPONSE_NONCE) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::request::Request;
    use tombolo_proto::ResourceType;

    #[test]
    fn acknowledgements_do_not_count() {
        let mut named = Request::new(ResourceType::Endpoints, Some(b"node"));
        (0..500).for_each(|nth| named.subscribe(&format!("cluster-{nth}")));
        let stream = [
            named.finish(),
            Request::ack(ResourceType::Cluster, "1"),
            Request::new(ResourceType::Listener, None).finish(),
        ];
        let mut counter = RequestCounter::default();
        let mut counts = Vec::new();
        for piece in stream.concat().chunks(1000) {
            counter.push(piece).unwrap();
            counts.push(counter.count());
        }
        assert_eq!((counts[0], counter.count()), (0, 2));
        assert!(counter.pending.is_empty());
        assert!(counter.push(&[9; 9]).is_err());
    }
}
