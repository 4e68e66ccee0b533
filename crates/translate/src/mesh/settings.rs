//! The settings of the mesh: the oldest MeshInstallation's.

use crate::{
    engine::{Built, Emits, Unit, View},
    status::{Condition, Status},
};
use std::sync::Arc;
use tombolo_api::{
    Kind, ObjectKey,
    mesh::{MeshInstallation, MeshSettings},
};
use tombolo_core::{FieldPath, Problem};
use tombolo_registry::Entry;

/// The mesh's settings, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mesh;

impl Unit for Mesh {
    type Output = Arc<MeshSettings>;
    const RANK: u8 = 0;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let keys = view.entry(Entry::All(Kind::MeshInstallation));
        let mut all: Vec<_> =
            keys.iter().filter_map(|key| Some((key, view.object::<MeshInstallation>(key)?))).collect();
        all.sort_by_key(|(key, object)| (object.metadata.creation_timestamp, *key));
        let ((first, installation), others) = all.split_first()?;
        let mut emits = Emits::default();
        let accepted = Condition::yes("Accepted", "Accepted", "", installation.metadata.generation);
        emits.status((*first).clone(), Status::Conditions { conditions: vec![accepted] });
        for (other, object) in others {
            conflicted(other, object.metadata.generation, first, &mut emits);
        }
        Some(Built { output: Arc::new(installation.mesh.clone()), emits })
    }
}

/// A mesh has one MeshInstallation: a younger one has no effect, and says so.
fn conflicted(other: &ObjectKey, generation: i64, first: &ObjectKey, emits: &mut Emits) {
    let message = format!("a mesh has one MeshInstallation, and {} came first: this one has no effect", first.name);
    let problem = Problem::warning(other.reference(), FieldPath::root(), "Conflicted", message.clone());
    emits.problems.push(problem.fix("keep one, and remove the others"));
    let conditions = vec![Condition::no("Accepted", "Conflicted", message, generation)];
    emits.status(other.clone(), Status::Conditions { conditions });
}

/// The mesh's settings; the defaults without a MeshInstallation.
pub(crate) fn settings(view: &View<'_>) -> Arc<MeshSettings> {
    view.unit(&Mesh).cloned().unwrap_or_default()
}
