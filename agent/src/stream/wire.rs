//! Delta xDS on the wire, envelopes only: a resource's name and version are read, what it holds is passed on as it is.
//!
//! The messages are those of `envoy.service.discovery.v3`, written by hand so that payloads stay slices of what was received.

use super::version::Version;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, string},
};
use std::{collections::HashMap, sync::Arc};

/// gRPC's prefix of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Smaller payloads are copied together: a frame for each would cost more.
const SHARED: usize = 4096;
/// The field `resources` of a response.
const RESOURCES: u32 = 2;

/// `DeltaDiscoveryRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// An encoded `envoy.config.core.v3.Node`: who asks. On a stream's first request only.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub node: Option<Bytes>,
    /// The type of the resources.
    #[prost(string, tag = "2")]
    pub type_url: String,
    /// Names to add; `*` is everything.
    #[prost(string, repeated, tag = "3")]
    pub subscribe: Vec<String>,
    /// Names to take away.
    #[prost(string, repeated, tag = "4")]
    pub unsubscribe: Vec<String>,
    /// What the client holds, with versions. On a type's first request only.
    #[prost(map = "string, string", tag = "5")]
    pub initial_versions: HashMap<String, String>,
    /// The response that this answers; empty where it answers none.
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    /// An encoded `google.rpc.Status`: why that response is rejected.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub error_detail: Option<Bytes>,
}

/// `DeltaDiscoveryResponse`. Resources are encoded `Resource` messages; see [`Resource::read`].
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    /// What is new or different.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub resources: Vec<Bytes>,
    /// The type of the resources.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// By which the client refers to this response.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Names of what is gone.
    #[prost(string, repeated, tag = "6")]
    pub removed: Vec<String>,
}

/// What is read of a `Resource`.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(bytes = "bytes", optional, tag = "2")]
    resource: Option<Bytes>,
    #[prost(string, tag = "3")]
    name: String,
}

/// `google.protobuf.Any`, of which the value is read.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// `google.rpc.Status`, as an error detail.
#[derive(Clone, PartialEq, Message)]
struct ErrorDetail {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// One resource in its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) name: Arc<str>,
    pub(crate) version: Version,
    /// The whole `Resource` message, as it was received.
    pub(crate) bytes: Bytes,
}

impl Resource {
    /// Reads name and version.
    pub(crate) fn read(bytes: Bytes) -> Result<Self, prost::DecodeError> {
        let envelope = Envelope::decode(bytes.clone())?;
        Ok(Self { name: envelope.name.into(), version: Version::new(&envelope.version), bytes })
    }

    /// With bytes of its own, which do not keep the response that it came in.
    pub(crate) fn detached(self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), ..self }
    }

    /// The resource itself, without its envelope; `None` where there is none that can be read.
    pub(crate) fn value(&self) -> Option<Bytes> {
        let any = Envelope::decode(self.bytes.clone()).ok()?.resource?;
        Any::decode(any).ok().map(|any| any.value)
    }
}

/// The error detail of a rejection for which there is no better code than `INVALID_ARGUMENT`.
pub(crate) fn error_detail(message: &str) -> Bytes {
    ErrorDetail { code: 3, message: message.to_owned() }.encode_to_vec().into()
}

/// The words of an error detail.
pub(crate) fn error_message(detail: &Bytes) -> String {
    ErrorDetail::decode(detail.clone()).map_or_else(|_| "(the reason cannot be read)".to_owned(), |d| d.message)
}

impl Response {
    /// The response as a gRPC message, in pieces: large payloads are shared, not copied.
    pub(crate) fn frames(&self) -> Vec<Bytes> {
        let mut tail = BytesMut::new();
        string::encode(4, &self.type_url, &mut tail);
        string::encode(5, &self.nonce, &mut tail);
        string::encode_repeated(6, &self.removed, &mut tail);
        let mut frames = Frames::default();
        for resource in &self.resources {
            encode_key(RESOURCES, WireType::LengthDelimited, &mut frames.open);
            encode_varint(resource.len() as u64, &mut frames.open);
            frames.put(resource);
        }
        frames.put(&tail.freeze());
        frames.finish()
    }
}

impl Request {
    /// The request as a gRPC message.
    pub(crate) fn frame(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(PREFIX + self.encoded_len());
        out.put_u8(0);
        out.put_u32(u32::try_from(self.encoded_len()).unwrap_or(u32::MAX));
        out.extend_from_slice(&self.encode_to_vec());
        out.freeze()
    }
}

/// Pieces of a message.
#[derive(Default)]
struct Frames {
    closed: Vec<Bytes>,
    open: BytesMut,
}

impl Frames {
    fn put(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED {
            return self.open.extend_from_slice(bytes);
        }
        self.closed.extend([self.open.split().freeze(), bytes.clone()]);
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.closed.push(self.open.freeze());
        let len: usize = self.closed.iter().map(Bytes::len).sum();
        let mut first = BytesMut::with_capacity(PREFIX + self.closed[0].len());
        first.put_u8(0);
        first.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
        first.extend_from_slice(&self.closed[0]);
        self.closed[0] = first.freeze();
        self.closed.retain(|piece| !piece.is_empty());
        self.closed
    }
}

/// Why incoming bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Compression was not agreed on.
    #[error("a gRPC message is compressed; send it without grpc-encoding")]
    Compressed,
    /// Over the limit.
    #[error("a message of {0} bytes exceeds the limit of {1} bytes (limits.message_bytes)")]
    TooLong(usize, usize),
    /// Not protobuf, or not this message.
    #[error("a message cannot be decoded: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// Puts gRPC messages together from pieces that arrive.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    limit: usize,
}

impl Decoder {
    /// For messages of up to `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Takes in what arrived.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next message; `None` while it is not complete. After an error the stream is beyond repair.
    pub(crate) fn next<M: Message + Default>(&mut self) -> Result<Option<M>, WireError> {
        let [compressed, a, b, c, d, ..] = self.buffer[..] else { return Ok(None) };
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if compressed != 0 {
            return Err(WireError::Compressed);
        }
        if len > self.limit {
            return Err(WireError::TooLong(len, self.limit));
        }
        if self.buffer.len() < PREFIX + len {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let message = self.buffer.split_to(len).freeze();
        if self.buffer.is_empty() {
            // An idle stream keeps no buffer.
            self.buffer = BytesMut::new();
        }
        Ok(Some(M::decode(message)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, test_runner::RngSeed};
    use tombolo_proto::envoy::{envoy::service::discovery::v3, google};

    fn config(cases: u32) -> ProptestConfig {
        let cases = ProptestConfig::default().cases.max(cases);
        ProptestConfig { cases, rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..ProptestConfig::default() }
    }

    fn resource(name: &str, value: Vec<u8>) -> v3::Resource {
        let resource = Some(google::protobuf::Any { type_url: "t".to_owned(), value });
        v3::Resource { name: name.to_owned(), version: "7".to_owned(), resource, ..Default::default() }
    }

    /// All that can be read of these bytes, in pieces of a size.
    fn read<M: Message + Default>(bytes: &[u8], piece: usize) -> Vec<Result<M, WireError>> {
        let (mut decoder, mut out) = (Decoder::new(1 << 20), Vec::new());
        for piece in bytes.chunks(piece) {
            decoder.push(piece);
            while let Some(next) = decoder.next().transpose() {
                let over = next.is_err();
                out.push(next);
                if over {
                    return out;
                }
            }
        }
        out
    }

    #[test]
    fn requests_are_envoys() {
        let request = Request {
            node: Some(v3::DeltaDiscoveryRequest::default().encode_to_vec().into()),
            type_url: "t".to_owned(),
            subscribe: vec!["a".to_owned()],
            unsubscribe: vec!["b".to_owned()],
            initial_versions: [("c".to_owned(), "1".to_owned())].into(),
            response_nonce: "n".to_owned(),
            error_detail: Some(error_detail("no")),
        };
        let theirs = v3::DeltaDiscoveryRequest::decode(&request.frame()[PREFIX..]).unwrap();
        assert_eq!(theirs.resource_names_subscribe, ["a"]);
        assert_eq!(theirs.resource_names_unsubscribe, ["b"]);
        assert_eq!(theirs.initial_resource_versions["c"], "1");
        assert_eq!((theirs.type_url.as_str(), theirs.response_nonce.as_str()), ("t", "n"));
        assert_eq!(theirs.error_detail.unwrap().message, "no");
        assert!(theirs.node.is_some());
        assert_eq!(read::<Request>(&request.frame(), 3), [Ok(request)]);
        assert_eq!(error_message(&error_detail("no")), "no");
    }

    proptest! {
        #![proptest_config(config(200))]

        #[test]
        fn responses_are_envoys_and_payloads_pass_as_they_are(
            sizes in proptest::collection::vec(prop_oneof![0usize..100, SHARED - 100..SHARED + 100], 0..6),
            piece in 1usize..5000,
        ) {
            let resources: Vec<_> = sizes.iter().map(|size| resource("a", vec![1; *size])).collect();
            let theirs = v3::DeltaDiscoveryResponse {
                resources: resources.clone(),
                type_url: "t".to_owned(),
                nonce: "n".to_owned(),
                removed_resources: vec!["gone".to_owned()],
                ..Default::default()
            };
            let ours = Response::decode(Bytes::from(theirs.encode_to_vec())).unwrap();
            let frames = ours.frames().concat();
            prop_assert_eq!(&v3::DeltaDiscoveryResponse::decode(&frames[PREFIX..]).unwrap(), &theirs);
            prop_assert_eq!(read::<Response>(&frames, piece), vec![Ok(ours.clone())]);
            for (bytes, theirs) in ours.resources.into_iter().zip(resources) {
                let read = Resource::read(bytes).unwrap();
                prop_assert_eq!((&*read.name, read.version.to_string()), ("a", "7".to_owned()));
                prop_assert_eq!(read.value().unwrap(), theirs.resource.unwrap().value);
            }
        }
    }

    proptest! {
        #![proptest_config(config(100_000))]

        /// Random bytes, and bytes that were an envelope but for one.
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), flip: u8,
        ) {
            let mut message = v3::DeltaDiscoveryResponse {
                resources: vec![resource("name", bytes.clone())], ..Default::default()
            }.encode_to_vec();
            let at = at.index(message.len());
            message[at] ^= flip;
            for bytes in [bytes, message] {
                if let Ok(response) = Response::decode(Bytes::from(bytes.clone())) {
                    for resource in response.resources {
                        _ = Resource::read(resource).map(|resource| resource.value());
                    }
                }
                _ = error_message(&Bytes::from(bytes.clone()));
                let results = read::<Request>(&bytes, 7);
                prop_assert!(results.iter().rev().skip(1).all(Result::is_ok));
            }
        }
    }

    #[test]
    fn each_fault_has_its_words() {
        let say = |bytes: &[u8]| read::<Request>(bytes, 100)[0].clone().unwrap_err().to_string();
        assert!(say(&[1, 0, 0, 0, 0]).contains("compressed"));
        assert!(say(&[0, 1, 0, 0, 0]).contains("limits.message_bytes"));
        assert!(say(&[0, 0, 0, 0, 1, 0xff]).contains("cannot be decoded"));
    }
}
