//! Whatever is looked up, by number: what it is now, and who reads it.
//!
//! Names of objects, units and relations are long, and one is read by many. So each is kept once, and the graph between them is
//! one of numbers.

use super::{Fact, Relation, UnitId, members::Members, unit::AnyOutput, view::Lookup};
use crate::status::Status;
use hashbrown::{HashTable, hash_table::Entry};
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};
use tombolo_api::ObjectKey;
use tombolo_core::{Numbers, Problem, Slab, room};
use tombolo_proto::{Resource, Scope};

/// The number of a [`Vertex`], as long as that is read or something. Numbers are used again.
pub(super) type VertexId = u32;

/// Something that was looked up, or is there to be.
pub(super) struct Vertex {
    pub(super) name: Lookup,
    /// The units that looked it up.
    pub(super) readers: Numbers,
    pub(super) content: Content,
}

/// What there is under a name.
pub(super) enum Content {
    /// Nothing, or what is not kept here: what is in the snapshot.
    None,
    Unit(Box<Node>),
    Relation(Members),
}

/// A unit that exists: what it made, and what it read to make it.
pub(super) struct Node {
    pub(super) output: Box<dyn AnyOutput>,
    pub(super) emitted: Emitted,
    /// In order, each once.
    pub(super) reads: Box<[VertexId]>,
}

/// What a unit made besides its output, for as long as it exists.
#[derive(Default)]
pub(super) struct Emitted {
    pub(super) facts: Box<[(VertexId, Fact)]>,
    pub(super) resources: Box<[(Scope, Arc<Resource>)]>,
    pub(super) statuses: Box<[(ObjectKey, Arc<Status>)]>,
    pub(super) problems: Box<[Problem]>,
}

/// All vertices.
#[derive(Default)]
pub(super) struct Vertices {
    numbers: HashTable<VertexId>,
    // Each by itself: a page with one left would hold the room of all.
    vertices: Slab<Box<Vertex>>,
    hasher: RandomState,
}

impl Vertices {
    /// The number of what has one.
    pub(super) fn find(&self, name: &Lookup) -> Option<VertexId> {
        let hash = self.hasher.hash_one(name);
        self.numbers.find(hash, |id| self.get(*id).name == *name).copied()
    }

    /// What has a number.
    pub(super) fn get(&self, id: VertexId) -> &Vertex {
        &self.vertices[id]
    }

    pub(super) fn get_mut(&mut self, id: VertexId) -> &mut Vertex {
        &mut self.vertices[id]
    }

    /// The number of a name, which gets one if it has none.
    pub(super) fn number(&mut self, name: Lookup) -> VertexId {
        let Self { numbers, vertices, hasher, .. } = self;
        let name_of = |id: &VertexId| &vertices[*id].name;
        match numbers.entry(hasher.hash_one(&name), |id| *name_of(id) == name, |id| hasher.hash_one(name_of(id))) {
            Entry::Occupied(number) => *number.get(),
            Entry::Vacant(room) => {
                let vertex = Vertex { name, readers: Numbers::default(), content: Content::None };
                let id = vertices.insert(Box::new(vertex));
                room.insert(id);
                id
            }
        }
    }

    /// Forgets what nobody reads and what is nothing.
    pub(super) fn release(&mut self, id: VertexId) {
        let vertex = self.get(id);
        if !matches!(vertex.content, Content::None) || !vertex.readers.is_empty() {
            return;
        }
        let hash = self.hasher.hash_one(&vertex.name);
        if let Ok(number) = self.numbers.find_entry(hash, |known| *known == id) {
            number.remove();
        }
        self.vertices.remove(id);
    }

    /// Gives back the room of numbers that were released, if that was most.
    pub(super) fn trim(&mut self) {
        let Self { numbers, vertices, hasher, .. } = self;
        numbers.shrink_to(room(numbers.len()), |id| hasher.hash_one(&vertices[*id].name));
    }

    /// The unit of a number.
    pub(super) fn unit(&self, id: VertexId) -> Option<&UnitId> {
        match &self.get(id).name {
            Lookup::Unit(unit) => Some(unit),
            Lookup::Source(_) | Lookup::Relation(_) => None,
        }
    }

    /// A unit, if it exists.
    pub(super) fn node(&self, id: VertexId) -> Option<&Node> {
        match &self.get(id).content {
            Content::Unit(node) => Some(node),
            Content::None | Content::Relation(_) => None,
        }
    }

    /// The members of a relation, if there are any.
    pub(super) fn members(&self, id: VertexId) -> Option<&Members> {
        match &self.get(id).content {
            Content::Relation(members) => Some(members),
            Content::None | Content::Unit(_) => None,
        }
    }

    /// Takes a unit out, to put another in its place or to release it.
    pub(super) fn take_node(&mut self, id: VertexId) -> Option<Node> {
        match std::mem::replace(&mut self.get_mut(id).content, Content::None) {
            Content::Unit(node) => Some(*node),
            Content::None | Content::Relation(_) => None,
        }
    }

    /// States a fact; true where it is new.
    pub(super) fn add_fact(&mut self, id: VertexId, fact: Fact) -> bool {
        let content = &mut self.get_mut(id).content;
        match content {
            Content::Relation(members) => members.add(fact),
            Content::None | Content::Unit(_) => {
                *content = Content::Relation(Members::of(fact));
                true
            }
        }
    }

    /// Takes back a fact, once; true where it holds no more. One that is not there is passed over.
    pub(super) fn remove_fact(&mut self, id: VertexId, fact: &Fact) -> bool {
        let content = &mut self.get_mut(id).content;
        let Content::Relation(members) = content else { return false };
        let gone = members.remove(fact);
        if members.is_empty() {
            *content = Content::None;
        }
        gone
    }

    /// The relation of a number.
    pub(super) fn relation(&self, id: VertexId) -> Option<&Relation> {
        match &self.get(id).name {
            Lookup::Relation(relation) => Some(relation),
            Lookup::Source(_) | Lookup::Unit(_) => None,
        }
    }

    /// Every unit that exists, unordered.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&UnitId, &Node)> {
        self.vertices.iter().filter_map(|(_, vertex)| match (&vertex.name, &vertex.content) {
            (Lookup::Unit(unit), Content::Unit(node)) => Some((unit, &**node)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vertex_is_of_a_size_that_is_allocated() {
        // There are thirty for each Gateway with a route: a byte more would cost each sixteen.
        assert!(size_of::<Vertex>() <= 112, "{}", size_of::<Vertex>());
    }

    #[test]
    fn what_nobody_reads_and_is_nothing_has_no_number() {
        let mut vertices = Vertices::default();
        let name = || Lookup::Relation(Relation::Sidecars);
        let id = vertices.number(name());
        assert_eq!(vertices.number(name()), id);
        assert!(vertices.add_fact(id, Fact::Unit) && !vertices.add_fact(id, Fact::Unit));
        assert!(!vertices.remove_fact(id, &Fact::Unit));
        vertices.release(id);
        assert_eq!(vertices.find(&name()), Some(id), "it is stated once more");
        assert!(vertices.remove_fact(id, &Fact::Unit));
        vertices.get_mut(id).readers.insert(7);
        vertices.release(id);
        assert_eq!(vertices.find(&name()), Some(id), "it is read");
        vertices.get_mut(id).readers.remove(7);
        vertices.release(id);
        assert_eq!(vertices.find(&name()), None);
    }
}
