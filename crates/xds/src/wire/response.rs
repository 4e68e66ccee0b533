//! Responses, from a session to HTTP/2 data: a small header of our own, then bytes that all clients share.

use super::PREFIX;
use crate::session::Response;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use std::sync::Arc;
use tombolo_proto::{
    Framing, Resource, ResourceType,
    envoy::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse},
};

/// Pieces below this are copied together; a frame of its own costs more than the copy.
const SMALL: usize = 4 << 10;
/// The most that is copied together: one HTTP/2 frame of the usual size. Small enough that the allocator gives the same memory
/// again, still in the cache, when it is written out.
const BLOCK: usize = 16 << 10;

/// A response on its way out, in blocks that are made when there is room for them.
pub(crate) struct Outgoing {
    kind: ResourceType,
    framing: Framing,
    resources: std::vec::IntoIter<Arc<Resource>>,
    /// The resource that is being written, and which of its pieces comes next.
    current: Option<(Arc<Resource>, usize)>,
    /// What comes before the resources.
    head: Vec<u8>,
    /// Bytes left, to size blocks by.
    left: usize,
    sent: Sent,
}

/// What has been handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Whole resources.
    pub(crate) resources: u64,
    /// Their bytes, envelopes included.
    pub(crate) bytes: u64,
}

impl Outgoing {
    /// The message of a response; an error where it is longer than gRPC can say.
    pub(crate) fn new(response: Response) -> Result<Self, tonic::Status> {
        let Response { kind, framing, nonce, version, resources, removed } = response;
        let fields = match framing {
            Framing::Delta => {
                let removed_resources = removed.iter().map(ToString::to_string).collect();
                DeltaDiscoveryResponse {
                    type_url: kind.url().into(),
                    nonce: nonce.to_string(),
                    removed_resources,
                    ..Default::default()
                }
                .encode_to_vec()
            }
            Framing::StateOfTheWorld => DiscoveryResponse {
                version_info: version.to_string(),
                type_url: kind.url().into(),
                nonce: nonce.to_string(),
                ..Default::default()
            }
            .encode_to_vec(),
        };
        let len = fields.len() + resources.iter().map(|r| r.frame_len(framing)).sum::<usize>();
        let prefix = u32::try_from(len).map_err(|_| {
            tonic::Status::resource_exhausted(format!(
                "a {} response of {len} bytes exceeds gRPC's limit of 4 GiB",
                kind.short()
            ))
        })?;
        let mut head = Vec::with_capacity(PREFIX + fields.len());
        head.put_u8(0);
        head.put_u32(prefix);
        head.put_slice(&fields);
        let resources = resources.into_iter();
        Ok(Self { kind, framing, resources, current: None, head, left: PREFIX + len, sent: Sent::default() })
    }

    /// The type of its resources.
    pub(crate) fn kind(&self) -> ResourceType {
        self.kind
    }

    /// What has been handed over since the last call.
    pub(crate) fn take_sent(&mut self) -> Sent {
        std::mem::take(&mut self.sent)
    }

    /// The next block; `None` after the last.
    pub(crate) fn next_block(&mut self) -> Option<Bytes> {
        let mut block = BytesMut::new();
        if !self.head.is_empty() {
            block.reserve(self.left.min(BLOCK));
            block.extend_from_slice(&self.head);
            self.left -= self.head.len();
            self.head = Vec::new();
        }
        while let Some((resource, at)) = self.current.take().or_else(|| Some((self.resources.next()?, 0))) {
            // Looked at, not cloned: a count that all clients share is dearer than a small copy.
            let piece = if at == 0 { resource.head(self.framing) } else { resource.parts()[at - 1].bytes() };
            let len = piece.len();
            if len < SMALL && block.len() + len <= BLOCK {
                if block.is_empty() {
                    block.reserve(self.left.min(BLOCK));
                }
                block.extend_from_slice(piece);
                self.pass(resource, at, len);
            } else if block.is_empty() {
                let alone =
                    if at == 0 { Bytes::copy_from_slice(piece) } else { resource.parts()[at - 1].bytes().clone() };
                self.pass(resource, at, len);
                return Some(alone);
            } else {
                self.current = Some((resource, at));
                break;
            }
        }
        (!block.is_empty()).then(|| block.freeze())
    }

    /// A piece is in a block.
    fn pass(&mut self, resource: Arc<Resource>, at: usize, len: usize) {
        self.left -= len;
        self.sent.bytes += len as u64;
        if at < resource.parts().len() {
            self.current = Some((resource, at + 1));
        } else {
            self.sent.resources += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tombolo_proto::{Part, Version};

    fn resource(name: &str, parts: &[usize]) -> Arc<Resource> {
        // Field 15 of any message here: unknown, skipped, of the length asked for.
        let part = |len: &usize| {
            let mut bytes = vec![0x7a];
            prost::encoding::encode_varint(*len as u64, &mut bytes);
            bytes.resize(bytes.len() + len, b'x');
            Arc::new(Part::from_bytes(bytes.into(), Vec::new()))
        };
        Arc::new(Resource::assemble(ResourceType::Routes, name, parts.iter().map(part).collect::<Vec<_>>()))
    }

    proptest! {
        #[test]
        fn blocks_put_together_are_the_message(sizes in proptest::collection::vec(proptest::collection::vec(0usize..9000, 0..6), 0..20)) {
            let resources: Vec<_> = sizes.iter().enumerate().map(|(i, parts)| resource(&i.to_string(), parts)).collect();
            let response = Response {
                kind: ResourceType::Routes,
                framing: Framing::Delta,
                nonce: 7,
                version: Version(0),
                resources: resources.clone(),
                removed: vec!["gone".into()],
            };
            let mut out = Outgoing::new(response).unwrap();
            let blocks: Vec<Bytes> = std::iter::from_fn(|| out.next_block()).collect();
            let bytes = blocks.concat();
            prop_assert_eq!(out.left, 0);
            let frames: usize = resources.iter().map(|r| r.frame_len(Framing::Delta)).sum();
            prop_assert_eq!(out.take_sent(), Sent { resources: resources.len() as u64, bytes: frames as u64 });
            prop_assert_eq!(u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize, bytes.len() - PREFIX);
            let message = DeltaDiscoveryResponse::decode(&bytes[PREFIX..]).unwrap();
            prop_assert_eq!(message.nonce, "7");
            prop_assert_eq!(message.removed_resources, ["gone"]);
            let sent: Vec<_> = message.resources.into_iter().map(|r| (r.name, r.resource.unwrap().value)).collect();
            let expected: Vec<_> = resources.iter().map(|r| (r.name().to_string(), r.value().to_vec())).collect();
            prop_assert_eq!(sent, expected);
        }
    }
}
