//! The settings of the mesh: the oldest MeshInstallation's.

use crate::engine::{Built, Unit, View};
use std::sync::Arc;
use tombolo_api::{
    Kind,
    mesh::{MeshInstallation, MeshSettings},
};
use tombolo_registry::Entry;

/// The mesh's settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mesh;

impl Unit for Mesh {
    type Output = Arc<MeshSettings>;
    const RANK: u8 = 0;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let oldest = view
            .entry(Entry::All(Kind::MeshInstallation))
            .iter()
            .filter_map(|key| {
                view.object::<MeshInstallation>(key).map(|o| (o.metadata.creation_timestamp, key.clone(), o))
            })
            .min_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        oldest.map(|(_, _, installation)| Built::from(Arc::new(installation.mesh.clone())))
    }
}

/// The mesh's settings; the defaults without a MeshInstallation.
pub(crate) fn settings(view: &View<'_>) -> Arc<MeshSettings> {
    view.unit(&Mesh).cloned().unwrap_or_default()
}
