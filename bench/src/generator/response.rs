//! `DeltaDiscoveryResponse`, read as its bytes come in: only one resource at a time is ever kept whole.

use super::wire::{self, Field, GRPC_HEADER, WireError};

/// Something of a response, in the order in which it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// `type_url`: may come after the resources.
    Type(&'a str),
    /// One of `resources`.
    Resource(Entry<'a>),
    /// One of `removed_resources`.
    Removed(&'a str),
    /// `nonce`
    Nonce(&'a str),
    /// The response is over.
    End,
}

/// A `Resource` of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) type_url: &'a str,
    /// The resource itself, encoded.
    pub(super) value: &'a [u8],
}

/// Cuts a stream of gRPC messages into items, wherever the pieces that it comes in are cut.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// What has come of an item that is not whole yet.
    pending: Vec<u8>,
    /// How many bytes of the message are still to come, `pending` included; 0 between messages.
    left: usize,
}

/// A buffer that has grown beyond this is given back once it is empty: there is one for each client.
const KEPT_CAPACITY: usize = 4096;

impl Decoder {
    /// Takes the next piece of the stream and hands on the items that are whole with it.
    pub(super) fn push<E: From<WireError>>(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.pending.is_empty() {
            let used = self.take(piece, &mut each)?;
            self.pending.extend_from_slice(&piece[used..]);
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(piece);
        let used = self.take(&pending, &mut each)?;
        pending.drain(..used);
        if pending.is_empty() && pending.capacity() > KEPT_CAPACITY {
            pending = Vec::new();
        }
        self.pending = pending;
        Ok(())
    }

    /// Hands on the items at the start of the bytes. Returns how many bytes they are.
    fn take<E: From<WireError>>(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            if self.left == 0 {
                let Some(len) = wire::grpc_len(rest)? else { return Ok(used) };
                used += GRPC_HEADER;
                self.left = len;
            } else {
                let Some((field, len)) = wire::field(rest)? else { return Ok(used) };
                self.left = self.left.checked_sub(len).ok_or(WireError::Malformed)?;
                used += len;
                if let Some(item) = item(field)? {
                    each(item)?;
                }
            }
            if self.left == 0 {
                each(Item::End)?;
            }
        }
    }
}

fn item(field: Field<'_>) -> Result<Option<Item<'_>>, WireError> {
    Ok(match field.number {
        2 => Some(Item::Resource(entry(field.content)?)),
        4 => Some(Item::Type(wire::text(field.content)?)),
        5 => Some(Item::Nonce(wire::text(field.content)?)),
        6 => Some(Item::Removed(wire::text(field.content)?)),
        _ => None,
    })
}

fn entry(resource: &[u8]) -> Result<Entry<'_>, WireError> {
    let mut entry = Entry::default();
    for field in wire::fields(resource) {
        let Field { number, content } = field?;
        match number {
            1 => entry.version = wire::text(content)?,
            2 => envelope(content, &mut entry)?,
            3 => entry.name = wire::text(content)?,
            _ => {}
        }
    }
    Ok(entry)
}

fn envelope<'a>(any: &'a [u8], entry: &mut Entry<'a>) -> Result<(), WireError> {
    for field in wire::fields(any) {
        let Field { number, content } = field?;
        match number {
            1 => entry.type_url = wire::text(content)?,
            2 => entry.value = content,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;
    use tombolo_proto::envoy::{
        envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource},
        google::protobuf::Any,
    };

    fn response(resources: Vec<(String, Vec<u8>)>, removed: Vec<String>, nonce: String) -> DeltaDiscoveryResponse {
        let resource = |(name, value): (String, Vec<u8>)| Resource {
            version: format!("v{}", value.len()),
            resource: Some(Any { type_url: "t".into(), value }),
            name,
            ..Default::default()
        };
        DeltaDiscoveryResponse {
            type_url: "t".into(),
            resources: resources.into_iter().map(resource).collect(),
            removed_resources: removed,
            nonce,
            system_version_info: "ignored".into(),
            ..Default::default()
        }
    }

    fn framed(message: &DeltaDiscoveryResponse) -> Vec<u8> {
        let body = message.encode_to_vec();
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    /// Puts the items back together.
    fn read(pieces: impl Iterator<Item = Vec<u8>>) -> Result<Vec<DeltaDiscoveryResponse>, WireError> {
        let (mut decoder, mut all, mut current) = (Decoder::default(), Vec::new(), DeltaDiscoveryResponse::default());
        for piece in pieces {
            decoder.push::<WireError>(&piece, |item| {
                match item {
                    Item::Type(url) => current.type_url = url.into(),
                    Item::Nonce(nonce) => current.nonce = nonce.into(),
                    Item::Removed(name) => current.removed_resources.push(name.into()),
                    Item::Resource(Entry { name, version, type_url, value }) => current.resources.push(Resource {
                        name: name.into(),
                        version: version.into(),
                        resource: Some(Any { type_url: type_url.into(), value: value.into() }),
                        ..Default::default()
                    }),
                    Item::End => all.push(std::mem::take(&mut current)),
                }
                Ok(())
            })?;
        }
        Ok(all)
    }

    fn any_response() -> impl Strategy<Value = DeltaDiscoveryResponse> {
        let resource = ("[a-z|é]{0,9}", prop::collection::vec(any::<u8>(), 0..300));
        (prop::collection::vec(resource, 0..5), prop::collection::vec("[a-z]{0,200}", 0..3), "[0-9a-f]{0,3}")
            .prop_map(|(resources, removed, nonce)| response(resources, removed, nonce))
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_however_it_is_cut(
            mut sent in prop::collection::vec(any_response(), 1..4), cut in 1..500_usize,
        ) {
            let stream: Vec<u8> = sent.iter().flat_map(framed).collect();
            let got = read(stream.chunks(cut).map(<[u8]>::to_vec)).unwrap();
            sent.iter_mut().for_each(|message| message.system_version_info.clear());
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn any_bytes_end_without_a_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..9)) {
            let _ = read(pieces.into_iter());
        }
    }

    #[test]
    fn an_empty_message_is_a_response() {
        assert_eq!(read(std::iter::once(vec![0; 10])).unwrap().len(), 2);
    }

    #[test]
    fn a_field_that_is_longer_than_its_message_is_refused() {
        let bytes = vec![0, 0, 0, 0, 3, 0x22, 4, b'a', b'b', b'c', b'd'];
        assert_eq!(read(std::iter::once(bytes)), Err(WireError::Malformed));
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let stream = framed(&response(vec![("big".into(), vec![7; 100_000])], Vec::new(), "1".into()));
        let mut decoder = Decoder::default();
        for piece in stream.chunks(16_384) {
            decoder.push::<WireError>(piece, |_| Ok(())).unwrap();
        }
        assert_eq!(decoder.pending.capacity(), 0);
    }
}
