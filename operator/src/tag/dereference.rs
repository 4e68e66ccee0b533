//! What a tag's reconciliation reads.

use super::validate::heaviest;
use crate::{apply::Live, context::Context, failure::Failure, kinds, names};
use kube::{ResourceExt, api::DynamicObject};
use tombolo_api::mesh::MeshRevisionTag;

/// What there is beside a tag.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The revision that it leads to.
    pub(crate) revision: Option<Live>,
    /// The Services that are its own.
    pub(crate) services: Vec<Live>,
}

pub(super) async fn read(object: &DynamicObject, spec: &MeshRevisionTag, context: &Context) -> Result<Seen, Failure> {
    let labels = format!("{}={},{}={}", names::MANAGED_BY, names::MANAGER, names::TAG, object.name_any());
    let lists = context.namespaces.iter().map(|namespace| context.list(kinds::SERVICE, namespace, &labels));
    let services = futures::future::try_join_all(lists).await?.into_iter().flatten().collect();
    Ok(Seen { revision: context.get(kinds::REVISION, heaviest(spec)).await?, services })
}
