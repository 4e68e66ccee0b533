//! Every name and every content that any client has seen, once.

use super::{
    content::{self, Facts},
    response::Entry,
};
use crate::sequence::Sequence;
use std::{collections::HashMap, net::SocketAddr, num::NonZeroU32, sync::Arc};
use tombolo_proto::ResourceType;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// A resource's name among those of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NameId(u32);

impl NameId {
    /// Dense, from 0.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// A resource's content, with the version that it was sent as. Never 0, so that `Option<ContentId>` is four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ContentId(NonZeroU32);

/// One distinct content.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) version: Box<str>,
    /// XXH3 (128 bits) of the encoded resource.
    pub(super) hash: u128,
    /// Resources of the type that this one's type names ([`content::named_by`]).
    pub(super) refs: Box<[NameId]>,
    pub(super) endpoints: Box<[SocketAddr]>,
    pub(super) sequence: Option<Sequence>,
}

/// A resource of a type that is not served, or that cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name:?} cannot be decoded: {source}", kind = .kind.short())]
pub(super) struct ContentError {
    kind: ResourceType,
    name: String,
    source: prost::DecodeError,
}

#[derive(Debug, Default)]
struct Names {
    list: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, NameId>,
}

impl Names {
    fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let (id, name) = (NameId::from_index(self.list.len()), Arc::<str>::from(name));
        self.list.push(name.clone());
        self.ids.insert(name, id);
        id
    }
}

/// Names and contents, shared by all clients of the process: what each client holds is a number per name.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    names: [Names; ResourceType::ALL.len()],
    contents: Vec<Content>,
    /// By type, hash of the content and hash of the version.
    ids: HashMap<(ResourceType, u128, u64), ContentId>,
}

impl Catalog {
    /// The number of a name.
    pub(super) fn name_id(&mut self, kind: ResourceType, name: &str) -> NameId {
        self.names[kind as usize].intern(name)
    }

    /// The name of a number.
    pub(super) fn name(&self, kind: ResourceType, id: NameId) -> &Arc<str> {
        &self.names[kind as usize].list[id.index()]
    }

    /// The content of a number.
    pub(super) fn content(&self, id: ContentId) -> &Content {
        &self.contents[id.0.get() as usize - 1]
    }

    /// Takes a received resource in, and decodes it if its content is new.
    pub(super) fn intern(
        &mut self,
        kind: ResourceType,
        entry: &Entry<'_>,
    ) -> Result<(NameId, ContentId), ContentError> {
        let name = self.name_id(kind, entry.name);
        let key = (kind, xxh3_128(entry.value), xxh3_64(entry.version.as_bytes()));
        if let Some(id) = self.ids.get(&key) {
            return Ok((name, *id));
        }
        let Facts { names, endpoints, sequence } = content::facts(kind, entry.value)
            .map_err(|source| ContentError { kind, name: entry.name.to_owned(), source })?;
        let refs = match content::named_by(kind) {
            Some(named) => names.iter().map(|name| self.name_id(named, name)).collect(),
            None => Box::default(),
        };
        self.contents.push(Content {
            version: entry.version.into(),
            hash: key.1,
            refs,
            endpoints: endpoints.into(),
            sequence,
        });
        let number = u32::try_from(self.contents.len()).unwrap_or(u32::MAX);
        let id = ContentId(NonZeroU32::new(number).unwrap_or(NonZeroU32::MAX));
        self.ids.insert(key, id);
        Ok((name, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::{assignment, cluster, listener};
    use prost::Message;

    fn intern(catalog: &mut Catalog, kind: ResourceType, name: &str, value: &impl Message) -> (NameId, ContentId) {
        let value = value.encode_to_vec();
        catalog.intern(kind, &Entry { name, version: "1", type_url: kind.url(), value: &value }).unwrap()
    }

    #[test]
    fn a_content_is_kept_once_and_says_what_it_names() {
        let mut catalog = Catalog::default();
        let (a, first) = intern(&mut catalog, ResourceType::Cluster, "a", &cluster("a", "5s"));
        assert_eq!(intern(&mut catalog, ResourceType::Cluster, "a", &cluster("a", "5s")), (a, first));
        let (same, other) = intern(&mut catalog, ResourceType::Cluster, "a", &cluster("a", "6s"));
        assert!(same == a && other != first);
        let named = catalog.content(other).refs[0];
        assert_eq!(&**catalog.name(ResourceType::Endpoints, named), "a");
        let (_, id) = intern(&mut catalog, ResourceType::Listener, "l", &listener("l", &["80", "9080", "80"]));
        let tables = catalog.content(id).refs.iter().map(|id| catalog.name(ResourceType::Routes, *id));
        assert_eq!(tables.map(|n| &**n).collect::<Vec<_>>(), ["80", "9080"]);
    }

    #[test]
    fn an_assignment_has_endpoints_and_the_edit_that_it_comes_from() {
        let mut catalog = Catalog::default();
        let address = Sequence::new(42).address();
        let (_, id) =
            intern(&mut catalog, ResourceType::Endpoints, "a", &assignment("a", &[address, [10, 0, 0, 1].into()]));
        let content = catalog.content(id);
        assert_eq!(content.sequence, Some(Sequence::new(42)));
        assert_eq!(*content.endpoints, [(address, 8080).into(), ([10, 0, 0, 1], 8080).into()]);
    }

    #[test]
    fn what_cannot_be_decoded_is_an_error_that_names_it() {
        let entry = Entry { name: "bad", value: &[0xff], ..Entry::default() };
        let error = Catalog::default().intern(ResourceType::Cluster, &entry).unwrap_err();
        assert!(error.to_string().starts_with("cds \"bad\" cannot be decoded"), "{error}");
    }
}
