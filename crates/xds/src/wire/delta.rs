//! Requests of the delta protocol, read as they arrive.
//!
//! A client that comes back says everything that it holds, in messages of the size of a mesh: all clients do, when a control plane
//! starts anew. So a name or a version is taken in as soon as it is here, and its words are not kept.

use super::{Asked, request::asked};
use crate::{
    index::Index,
    session::{Ask, Held},
};
use bytes::{Buf, BufMut, BytesMut};
use prost::{
    DecodeError, Message,
    encoding::{WireType, decode_key, decode_varint},
};
use std::{str, sync::Arc};
use tombolo_proto::{ResourceType, envoy::envoy::service::discovery::v3::DeltaDiscoveryRequest};
use tonic::Status;

// Fields of envoy.service.discovery.v3.DeltaDiscoveryRequest.
const TYPE_URL: u32 = 2;
const SUBSCRIBE: u32 = 3;
const UNSUBSCRIBE: u32 = 4;
const INITIAL_VERSIONS: u32 = 5;

/// One entry of `initial_resource_versions`: a map is that on the wire.
#[derive(Clone, PartialEq, Message)]
struct InitialVersion {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// A message that is being read.
#[derive(Default)]
pub(super) struct Partial {
    kind: Option<ResourceType>,
    /// How many names it has so far.
    names: usize,
    subscribe: Vec<Arc<str>>,
    held: Held,
    /// The other fields, as they came.
    rest: BytesMut,
}

/// A whole field: where its value begins, and where it ends.
struct Field {
    number: u32,
    value: usize,
    end: usize,
}

impl Partial {
    /// Takes the whole fields out of `buffer`, of which `left` bytes are the message's at most. Returns how many bytes it took. More than
    /// `limit` names are refused: a name may take two bytes of a message.
    pub(super) fn read(
        &mut self,
        buffer: &mut BytesMut,
        left: usize,
        limit: usize,
        index: &Index,
    ) -> Result<usize, Status> {
        let mut taken = 0;
        while let Some(Field { number, value, end }) =
            next(&buffer[..buffer.len().min(left - taken)]).map_err(unreadable)?
        {
            self.take(number, &buffer[value..end], &buffer[..end], index)?;
            if self.names > limit {
                let message = format!("a request names more than {limit} resources (limits.subscriptions)");
                return Err(Status::resource_exhausted(message));
            }
            buffer.advance(end);
            taken += end;
        }
        Ok(taken)
    }

    fn take(&mut self, number: u32, value: &[u8], field: &[u8], index: &Index) -> Result<(), Status> {
        self.names += usize::from(matches!(number, SUBSCRIBE | UNSUBSCRIBE | INITIAL_VERSIONS));
        match (number, self.kind) {
            (SUBSCRIBE, Some(kind)) => {
                let name = str::from_utf8(value).map_err(|_| unreadable("a name is not UTF-8"))?;
                self.subscribe.push(index.shared_name(kind, name));
            }
            (INITIAL_VERSIONS, Some(kind)) => {
                let InitialVersion { name, version } = InitialVersion::decode(value).map_err(unreadable)?;
                self.held.add(kind, &name, &version, index);
            }
            // Names before the type are rare, and are read with the rest.
            _ => {
                if number == TYPE_URL {
                    self.kind = str::from_utf8(value).ok().and_then(ResourceType::from_url);
                }
                self.rest.put_slice(field);
            }
        }
        Ok(())
    }

    /// The message, once all of it was read, but for `end`.
    pub(super) fn finish(self, end: &[u8], index: &Index) -> Result<Asked, Status> {
        let Self { mut subscribe, mut held, mut rest, .. } = self;
        rest.put_slice(end);
        let message = DeltaDiscoveryRequest::decode(rest).map_err(unreadable)?;
        // Of a type that is not served nothing is looked up.
        if let Some(kind) = ResourceType::from_url(&message.type_url) {
            subscribe.extend(message.resource_names_subscribe.iter().map(|name| index.shared_name(kind, name)));
            let early = &message.initial_resource_versions;
            early.iter().for_each(|(name, version)| held.add(kind, name, version, index));
        }
        let ask = Ask::Delta { subscribe, unsubscribe: message.resource_names_unsubscribe, initial: held };
        Ok(asked(message.node, message.type_url, &message.response_nonce, message.error_detail, ask))
    }
}

/// The first field of some bytes; `None` where it is not all there.
fn next(bytes: &[u8]) -> Result<Option<Field>, Unreadable> {
    let mut at = bytes;
    if !has_varint(at) {
        return Ok(None);
    }
    let (number, wire_type) = decode_key(&mut at)?;
    let len = match wire_type {
        WireType::Varint | WireType::LengthDelimited if !has_varint(at) => return Ok(None),
        WireType::Varint => decode_varint(&mut at).map(|_| 0)?,
        WireType::LengthDelimited => decode_varint(&mut at)?,
        WireType::ThirtyTwoBit => 4,
        WireType::SixtyFourBit => 8,
        // Of protobuf before its third version: a message of the third has none.
        WireType::StartGroup | WireType::EndGroup => return Err(Unreadable::Group),
    };
    let value = bytes.len() - at.len();
    let end = usize::try_from(len).ok().and_then(|len| value.checked_add(len));
    Ok(end.filter(|end| *end <= bytes.len()).map(|end| Field { number, value, end }))
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("it has a group")]
    Group,
    #[error(transparent)]
    Field(#[from] DecodeError),
}

/// Whether a varint, or what cannot be one, is here whole.
fn has_varint(bytes: &[u8]) -> bool {
    const LONGEST: usize = 10;
    bytes.len() >= LONGEST || bytes.iter().any(|byte| byte & 0x80 == 0)
}

fn unreadable(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("a request cannot be decoded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Request;
    use proptest::prelude::*;
    use roaring::RoaringBitmap;
    use std::collections::BTreeMap;
    use tombolo_proto::{Change, Part, Resource, Scope, Version};

    const KIND: ResourceType = ResourceType::Cluster;

    /// What a session is told, with whatever the index knows already as its words.
    #[derive(Debug, PartialEq)]
    struct Told {
        nonce: Option<u64>,
        subscribe: Vec<String>,
        unsubscribe: Vec<String>,
        held: BTreeMap<String, Option<Version>>,
    }

    impl Told {
        fn of(asked: Asked) -> Self {
            let Request { nonce, ask: Ask::Delta { subscribe, unsubscribe, initial }, .. } = asked.request else {
                panic!("another protocol")
            };
            let subscribe = subscribe.iter().map(ToString::to_string).collect();
            let held = initial.into_versions().into_iter().map(|(name, version)| (name.to_string(), version)).collect();
            Self { nonce, subscribe, unsubscribe, held }
        }
    }

    /// Has resources of the names 0, 1, 2.
    fn index() -> Index {
        let mut index = Index::default();
        for name in 0..3 {
            let resource = Arc::new(resource(&name.to_string()));
            let change =
                Change { scope: Scope::public(), kind: KIND, name: resource.name().clone(), resource: Some(resource) };
            index.apply(&change, &mut RoaringBitmap::new());
        }
        index
    }

    fn resource(name: &str) -> Resource {
        let part = Arc::new(Part::from_bytes(name.as_bytes().to_vec().into(), Vec::new()));
        Resource::assemble(KIND, name, vec![part])
    }

    /// One field, as it travels.
    fn field() -> impl Strategy<Value = Vec<u8>> {
        let name = || (0..6u8).prop_map(|name| name.to_string());
        let version = prop_oneof![
            name().prop_map(|name| resource(&name).version().to_string()),
            Just("another server's".to_owned()),
            Just(String::new()),
        ];
        let of = |message: DeltaDiscoveryRequest| message.encode_to_vec();
        prop_oneof![
            4 => name().prop_map(move |n| of(DeltaDiscoveryRequest { resource_names_subscribe: vec![n], ..Default::default() })),
            4 => (name(), version).prop_map(move |held| {
                of(DeltaDiscoveryRequest { initial_resource_versions: [held].into(), ..Default::default() })
            }),
            1 => name().prop_map(move |n| of(DeltaDiscoveryRequest { resource_names_unsubscribe: vec![n], ..Default::default() })),
            1 => (0..9u8).prop_map(move |n| of(DeltaDiscoveryRequest { response_nonce: n.to_string(), ..Default::default() })),
            2 => Just(of(DeltaDiscoveryRequest { type_url: KIND.url().into(), ..Default::default() })),
            // Fields of the future: numbers, and a text.
            1 => Just(vec![0x78, 0x96, 0x01]),
            1 => Just(vec![0x79, 1, 2, 3, 4, 5, 6, 7, 8]),
            1 => Just(vec![0x7d, 0x1a, 0x01, 0x39, 0x1a]),
            1 => Just(vec![0x7a, 0x03, 0x1a, 0x01, 0x39]),
        ]
    }

    /// As it is read when it comes in pieces.
    fn read(message: &[u8], cuts: &[usize]) -> Result<Asked, Status> {
        let (index, mut partial) = (index(), Partial::default());
        let (mut buffer, mut left, mut at) = (BytesMut::new(), message.len(), 0);
        for cut in cuts.iter().map(|cut| cut % (message.len() + 1)).chain([message.len()]) {
            buffer.extend_from_slice(&message[at.min(cut)..cut]);
            at = at.max(cut);
            left -= partial.read(&mut buffer, left, 50, &index)?;
        }
        assert_eq!(left, buffer.len());
        partial.finish(&buffer, &index)
    }

    proptest! {
        #[test]
        fn a_message_in_pieces_says_what_it_says_whole(
            fields in proptest::collection::vec(field(), 0..20),
            cuts in proptest::collection::vec(0..500usize, 0..6),
        ) {
            let bytes = fields.concat();
            let mut whole = DeltaDiscoveryRequest::decode(&bytes[..]).unwrap();
            whole.type_url = KIND.url().into();
            let all = [&bytes[..], &DeltaDiscoveryRequest { type_url: KIND.url().into(), ..Default::default() }.encode_to_vec()].concat();
            let mut told = Told::of(read(&all, &cuts).unwrap());
            told.subscribe.sort_unstable();
            whole.resource_names_subscribe.sort_unstable();
            prop_assert_eq!(told.subscribe, whole.resource_names_subscribe);
            prop_assert_eq!(told.unsubscribe, whole.resource_names_unsubscribe);
            prop_assert_eq!(told.nonce, whole.response_nonce.parse().ok());
            // Of two versions of one name either may count.
            let said: BTreeMap<_, _> = whole.initial_resource_versions.into_iter().collect();
            prop_assert_eq!(told.held.keys().collect::<Vec<_>>(), said.keys().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_read_as_if_whole_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60), cuts in proptest::collection::vec(0..60usize, 0..4)) {
            // Groups are skipped by others.
            prop_assert!(read(&bytes, &cuts).is_err() || DeltaDiscoveryRequest::decode(&bytes[..]).is_ok());
        }
    }

    #[test]
    fn names_of_two_bytes_each_are_counted_before_they_are_kept() {
        for field in [[0x1a, 0], [0x22, 0], [0x2a, 0]] {
            let with_type = DeltaDiscoveryRequest { type_url: KIND.url().into(), ..Default::default() }.encode_to_vec();
            for before in [vec![], with_type] {
                let status =
                    |names| read(&[&before[..], &field.repeat(names)].concat(), &[]).map(|_| ()).map_err(|e| e.code());
                assert_eq!(status(50), Ok(()));
                assert_eq!(status(51), Err(tonic::Code::ResourceExhausted));
            }
        }
    }

    #[test]
    fn what_is_held_is_known_by_its_version() {
        let held = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let ours = |name: &str| resource(name).version().to_string();
        let initial = [held("0", &ours("0")), held("1", &ours("2")), held("5", &ours("5")), held("2", "v1")];
        let message = DeltaDiscoveryRequest {
            type_url: KIND.url().into(),
            initial_resource_versions: initial.into(),
            ..Default::default()
        };
        let told = Told::of(read(&message.encode_to_vec(), &[7, 90]).unwrap());
        let version = |name: &str| Some(resource(name).version());
        let expected = [("0", version("0")), ("1", version("2")), ("2", None), ("5", version("5"))];
        assert_eq!(told.held, expected.map(|(name, version)| (name.to_owned(), version)).into());
    }
}
