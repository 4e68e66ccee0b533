//! Edits of a mesh's endpoints, numbered, so that each can be recognised where it arrives.

use tombolo_bench::{fixture::Mesh, sequence::Sequence};

/// Coprime to every number of services here: edits go through all services before they come to one again.
const STRIDE: usize = 7919;

/// The edits made so far.
pub(super) struct Edits {
    mesh: Mesh,
    made: u32,
    last: Vec<Option<Sequence>>,
}

/// One edit: a service's EndpointSlice, whose first endpoint has moved to the address that says its number.
pub(super) struct Edit {
    pub(super) sequence: Sequence,
    /// The manifest, as a source reads it.
    pub(super) text: String,
}

impl Edits {
    pub(super) fn new(mesh: Mesh) -> Self {
        Self { mesh, made: 0, last: vec![None; mesh.services] }
    }

    /// The next edit, of the next service.
    pub(super) fn make(&mut self) -> Edit {
        self.made += 1;
        let (sequence, service) = (Sequence::new(self.made), self.made as usize * STRIDE % self.mesh.services);
        self.last[service] = Some(sequence);
        Edit { sequence, text: self.mesh.slice(service, Some(sequence)).to_string() }
    }

    /// The last edit of a service.
    pub(super) fn of(&self, service: usize) -> Option<Sequence> {
        self.last[service]
    }

    /// How many services an edit leaves as they were before it is their turn again.
    pub(super) fn services(&self) -> usize {
        self.mesh.services
    }
}
