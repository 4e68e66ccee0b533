//! Requests, from HTTP/2 data to what a session takes in.

use super::{PREFIX, delta::Partial};
use crate::{
    Limits,
    index::Index,
    session::{Ask, Request},
};
use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use prost::Message;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tombolo_proto::{
    Framing, ResourceType,
    agent::{HEALTH, HEALTH_REPORT},
    envoy::{
        envoy::{config::core::v3::Node, service::discovery::v3::DiscoveryRequest},
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

pub(super) fn asked(node: Option<Node>, url: String, nonce: &str, error: Option<RpcStatus>, ask: Ask) -> Asked {
    // A nonce that is not ours, from a stream before this one say, answers nothing here.
    let request = Request { nonce: nonce.parse().ok(), error: error.map(|status| status.message), ask };
    Asked { node, about: About::of(url), request }
}

/// Bytes that are copied rather than kept in a buffer for many.
const SHORT: usize = 1 << 10;

/// The requests of one stream.
pub(crate) struct Requests<B> {
    body: B,
    buffer: BytesMut,
    limits: Limits,
    /// What is still to come of the message that is being read.
    left: Option<usize>,
    delta: Partial,
}

impl<B> Requests<B> {
    /// Reads messages within the limits.
    pub(crate) fn new(body: B, limits: Limits) -> Self {
        Self { body, buffer: BytesMut::new(), limits, left: None, delta: Partial::default() }
    }

    /// True while something is here that was not read.
    pub(crate) fn has_bytes(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next request, if all of it is here.
    pub(crate) fn read(&mut self, framing: Framing, index: &Index) -> Result<Option<Asked>, Status> {
        let Some(left) = self.left.map_or_else(|| self.begin(), |left| Ok(Some(left)))? else { return Ok(None) };
        let left = match framing {
            Framing::Delta => left - self.delta.read(&mut self.buffer, left, self.limits.subscriptions, index)?,
            Framing::StateOfTheWorld => left,
        };
        if self.buffer.len() < left {
            self.left = Some(left);
            if self.buffer.len() < SHORT {
                // What was read needs no memory while the rest is awaited.
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            return Ok(None);
        }
        self.left = None;
        let end = self.buffer.split_to(left);
        if self.buffer.is_empty() {
            // An idle stream keeps no buffer.
            self.buffer = BytesMut::new();
        }
        match framing {
            Framing::Delta => std::mem::take(&mut self.delta).finish(&end, index).map(Some),
            Framing::StateOfTheWorld => world(end).map(Some),
        }
    }

    /// The length of the next message, if that is here.
    fn begin(&mut self) -> Result<Option<usize>, Status> {
        let [compressed, a, b, c, d, ..] = self.buffer[..] else { return Ok(None) };
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if compressed != 0 {
            return Err(Status::unimplemented("compressed requests are not served; send them without grpc-encoding"));
        }
        let limit = self.limits.message_bytes;
        if len > limit {
            return Err(Status::resource_exhausted(format!(
                "a request of {len} bytes exceeds the limit of {limit} bytes (limits.message_bytes)"
            )));
        }
        self.buffer.advance(PREFIX);
        Ok(Some(len))
    }
}

impl<B> Requests<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    /// Takes more bytes in; `None` once the client sends no more.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), Status>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
                Some(Ok(()))
            }
            Some(Err(error)) => Some(Err(Status::cancelled(format!("the request stream broke: {error}")))),
            None if self.buffer.is_empty() && self.left.is_none() => None,
            None => Some(Err(Status::invalid_argument("the request stream ends inside a message"))),
        })
    }
}

fn world(message: BytesMut) -> Result<Asked, Status> {
    let message = DiscoveryRequest::decode(message)
        .map_err(|error| Status::invalid_argument(format!("a request cannot be decoded: {error}")))?;
    let ask = Ask::World { names: message.resource_names, version: message.version_info };
    Ok(asked(message.node, message.type_url, &message.response_nonce, message.error_detail, ask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use proptest::prelude::*;
    use std::task::Waker;
    use tombolo_proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryRequest;
    use tonic::Code;

    fn read(bytes: Vec<u8>, limit: usize) -> Vec<Result<Option<u64>, Code>> {
        let limits = Limits { message_bytes: limit, ..Limits::default() };
        let mut requests = Requests::new(Full::new(Bytes::from(bytes)), limits);
        let (index, mut out) = (Index::default(), Vec::new());
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match requests.read(Framing::Delta, &index) {
                Ok(Some(asked)) => out.push(Ok(asked.request.nonce)),
                Ok(None) => match requests.poll_fill(&mut cx) {
                    Poll::Ready(Some(Ok(()))) => {}
                    Poll::Ready(Some(Err(status))) => out.push(Err(status.code())),
                    Poll::Ready(None) | Poll::Pending => return out,
                },
                Err(status) => out.push(Err(status.code())),
            }
            if out.last().is_some_and(Result::is_err) {
                return out;
            }
        }
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
        assert_eq!(read([framed(&one), framed(&two)].concat(), 100), [Ok(Some(1)), Ok(Some(2))]);
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
