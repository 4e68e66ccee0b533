//! Requests, from HTTP/2 data to what a session takes in.

use super::PREFIX;
use crate::session::{Ask, Request};
use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use prost::Message;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tombolo_proto::{
    ResourceType,
    agent::{HEALTH, HEALTH_REPORT},
    envoy::{
        envoy::{
            config::core::v3::Node,
            service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
        },
        google::rpc::Status as RpcStatus,
    },
};
use tonic::Status;

/// A request of either protocol, taken apart.
pub(crate) struct Asked {
    /// Who asks; on the first request of a stream as a rule.
    pub(crate) node: Option<Node>,
    /// What it is about.
    pub(crate) about: About,
    /// What a session is told.
    pub(crate) request: Request,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// Resources of a type.
    Resources(ResourceType),
    /// Health, as Istio's agents say it.
    Health,
    /// Health with a number, which is acknowledged.
    HealthReport,
    /// A type that is not served: its URL.
    Unknown(String),
}

impl About {
    fn of(url: String) -> Self {
        match (ResourceType::from_url(&url), url.as_str()) {
            (Some(kind), _) => Self::Resources(kind),
            (None, HEALTH) => Self::Health,
            (None, HEALTH_REPORT) => Self::HealthReport,
            (None, _) => Self::Unknown(url),
        }
    }
}

/// The request message of one of the two protocols.
pub(crate) trait AdsRequest: Message + Default + Unpin + Send + 'static {
    /// Takes it apart.
    fn take_apart(self) -> Asked;
}

impl AdsRequest for DeltaDiscoveryRequest {
    fn take_apart(self) -> Asked {
        let ask = Ask::Delta {
            subscribe: self.resource_names_subscribe,
            unsubscribe: self.resource_names_unsubscribe,
            initial: self.initial_resource_versions,
        };
        asked(self.node, self.type_url, &self.response_nonce, self.error_detail, ask)
    }
}

impl AdsRequest for DiscoveryRequest {
    fn take_apart(self) -> Asked {
        let ask = Ask::World { names: self.resource_names, version: self.version_info };
        asked(self.node, self.type_url, &self.response_nonce, self.error_detail, ask)
    }
}

fn asked(node: Option<Node>, url: String, nonce: &str, error: Option<RpcStatus>, ask: Ask) -> Asked {
    // A nonce that is not ours, from a stream before this one say, answers nothing here.
    let request = Request { nonce: nonce.parse().ok(), error: error.map(|status| status.message), ask };
    Asked { node, about: About::of(url), request }
}

/// The requests of one stream.
pub(crate) struct Requests<B> {
    body: B,
    buffer: BytesMut,
    limit: usize,
}

impl<B> Requests<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    /// Reads messages of up to `limit` bytes.
    pub(crate) fn new(body: B, limit: usize) -> Self {
        Self { body, buffer: BytesMut::new(), limit }
    }

    /// The next request; `None` once the client has none any more.
    pub(crate) fn poll_next<M: AdsRequest>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<M, Status>>> {
        loop {
            match self.decode() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {}
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(Status::cancelled(format!("the request stream broke: {error}")))));
                }
                None if self.buffer.is_empty() => return Poll::Ready(None),
                None => {
                    return Poll::Ready(Some(Err(Status::invalid_argument(
                        "the request stream ends inside a message",
                    ))));
                }
            }
        }
    }

    fn decode<M: AdsRequest>(&mut self) -> Result<Option<M>, Status> {
        let [compressed, a, b, c, d, ..] = self.buffer[..] else { return Ok(None) };
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if compressed != 0 {
            return Err(Status::unimplemented("compressed requests are not served; send them without grpc-encoding"));
        }
        if len > self.limit {
            let limit = self.limit;
            return Err(Status::resource_exhausted(format!(
                "a request of {len} bytes exceeds the limit of {limit} bytes (limits.message_bytes)"
            )));
        }
        if self.buffer.len() < PREFIX + len {
            self.buffer.reserve(PREFIX + len - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let message = M::decode(self.buffer.split_to(len))
            .map_err(|error| Status::invalid_argument(format!("a request cannot be decoded: {error}")));
        if self.buffer.is_empty() {
            // An idle stream keeps no buffer.
            self.buffer = BytesMut::new();
        }
        message.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use proptest::prelude::*;
    use std::task::Waker;
    use tonic::Code;

    fn read(bytes: Vec<u8>, limit: usize) -> Vec<Result<DeltaDiscoveryRequest, Code>> {
        let mut requests = Requests::new(Full::new(Bytes::from(bytes)), limit);
        let mut out = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(result)) = requests.poll_next(&mut cx) {
            let stop = result.is_err();
            out.push(result.map_err(|status| status.code()));
            if stop {
                break;
            }
        }
        out
    }

    fn framed(message: &DeltaDiscoveryRequest) -> Vec<u8> {
        let body = message.encode_to_vec();
        let len = u32::try_from(body.len()).unwrap();
        [&[0][..], &len.to_be_bytes(), &body].concat()
    }

    #[test]
    fn messages_in_a_row_are_read_one_by_one() {
        let one = DeltaDiscoveryRequest { response_nonce: "1".into(), ..Default::default() };
        let two = DeltaDiscoveryRequest { response_nonce: "2".into(), ..Default::default() };
        assert_eq!(read([framed(&one), framed(&two)].concat(), 100), [Ok(one), Ok(two)]);
    }

    #[test]
    fn each_fault_has_its_code() {
        let long = DeltaDiscoveryRequest { response_nonce: "x".repeat(101), ..Default::default() };
        assert_eq!(read(framed(&long), 100), [Err(Code::ResourceExhausted)]);
        assert_eq!(read(vec![1, 0, 0, 0, 0], 100), [Err(Code::Unimplemented)]);
        assert_eq!(read(vec![0, 0, 0, 0, 9], 100), [Err(Code::InvalidArgument)]);
        assert_eq!(read(vec![0, 0, 0, 0, 1, 0xff], 100), [Err(Code::InvalidArgument)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(bytes.clone(), 1 << 20);
            let mut message = vec![0, 0, 0, 0, u8::try_from(bytes.len()).unwrap()];
            message.extend(bytes);
            let results = read(message, 1 << 20);
            prop_assert_eq!(results.len(), 1);
        }
    }
}
