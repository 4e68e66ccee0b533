//! The envelope around a resource on the wire, by hand, so that one encoding serves both protocols and every client.

use crate::{ResourceType, Version};
use bytes::BufMut;
use prost::encoding::{encode_varint, encoded_len_varint};

/// Which response message a resource is framed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// `DeltaDiscoveryResponse.resources`: a `Resource` with name, version and the message.
    Delta,
    /// `DiscoveryResponse.resources`: the message as an `Any`.
    StateOfTheWorld,
}

/// Both messages keep their resources in field 2, and `Resource` keeps its `Any` in field 2, last here. So the frame for
/// state-of-the-world is the tail of the frame for delta: one buffer holds both.
///
/// ```text
/// delta:  12 LEN  1a LEN name  0a LEN version  12 LEN  0a LEN type_url  12 LEN  value…
/// SotW:                                        12 LEN  0a LEN type_url  12 LEN  value…
/// ```
pub(crate) struct Envelope {
    head: Box<[u8]>,
    any_at: usize,
    value_len: usize,
}

const FIELD_1: u8 = 0x0a;
const FIELD_2: u8 = 0x12;
const FIELD_3: u8 = 0x1a;

impl Envelope {
    pub(crate) fn new(kind: ResourceType, name: &str, version: Version, value_len: usize) -> Self {
        let (url, version) = (kind.url(), version.to_string());
        let any_len = field_len(url.len()) + field_len(value_len);
        let resource_len = field_len(name.len()) + field_len(version.len()) + field_len(any_len);
        let mut head = Vec::with_capacity(64 + name.len() + version.len() + url.len());
        put_tag(&mut head, FIELD_2, resource_len);
        put_field(&mut head, FIELD_3, name);
        put_field(&mut head, FIELD_1, &version);
        let any_at = head.len();
        put_tag(&mut head, FIELD_2, any_len);
        put_field(&mut head, FIELD_1, url);
        put_tag(&mut head, FIELD_2, value_len);
        Self { head: head.into(), any_at, value_len }
    }

    pub(crate) fn head(&self, framing: Framing) -> &[u8] {
        match framing {
            Framing::Delta => &self.head,
            Framing::StateOfTheWorld => &self.head[self.any_at..],
        }
    }

    pub(crate) fn frame_len(&self, framing: Framing) -> usize {
        let head = match framing {
            Framing::Delta => self.head.len(),
            Framing::StateOfTheWorld => self.head.len() - self.any_at,
        };
        head + self.value_len
    }
}

/// Bytes of a length-delimited field with a one-byte tag.
fn field_len(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}

fn put_tag(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.put_u8(tag);
    encode_varint(len as u64, out);
}

fn put_field(out: &mut Vec<u8>, tag: u8, text: &str) {
    put_tag(out, tag, text.len());
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Part, Ref, Resource,
        envoy::envoy::{
            config::{cluster::v3::Cluster, route::v3::RouteConfiguration, route::v3::VirtualHost},
            service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse},
        },
    };
    use prost::Message;
    use std::sync::Arc;

    fn frame(resource: &Resource, framing: Framing) -> Vec<u8> {
        let bytes = [resource.head(framing), &resource.value()].concat();
        assert_eq!(bytes.len(), resource.frame_len(framing));
        bytes
    }

    #[test]
    fn one_encoding_reads_as_both_protocols() {
        let cluster = Cluster { name: "outbound|80||a.b".into(), alt_stat_name: "x".repeat(300), ..Default::default() };
        let resource = Resource::encode(ResourceType::Cluster, cluster.name.as_str(), &cluster, Vec::<Ref>::new());

        let delta = DeltaDiscoveryResponse::decode(&*frame(&resource, Framing::Delta)).unwrap();
        assert_eq!(delta.resources.len(), 1);
        assert_eq!(delta.resources[0].name, cluster.name);
        assert_eq!(Version::parse(&delta.resources[0].version), Some(resource.version()));
        let any = delta.resources[0].resource.clone().unwrap();
        assert_eq!(any.type_url, ResourceType::Cluster.url());
        assert_eq!(Cluster::decode(&*any.value).unwrap(), cluster);

        let sotw = DiscoveryResponse::decode(&*frame(&resource, Framing::StateOfTheWorld)).unwrap();
        assert_eq!(sotw.resources, [any]);
    }

    #[test]
    fn parts_in_a_row_are_the_message() {
        let host = |name: &str| VirtualHost { name: name.into(), ..Default::default() };
        let table =
            |name: &str, hosts| RouteConfiguration { name: name.into(), virtual_hosts: hosts, ..Default::default() };
        let part = |table| Arc::new(Part::of(&table, Vec::<Ref>::new()));
        let parts = vec![part(table("80", vec![])), part(table("", vec![host("a")])), part(table("", vec![host("b")]))];
        let resource = Resource::assemble(ResourceType::Routes, "80", parts);
        assert_eq!(RouteConfiguration::decode(resource.value()).unwrap(), table("80", vec![host("a"), host("b")]));
    }
}
