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
    /// The revision of its own name: a Service of it may have the name of the tag's.
    pub(crate) namesake: Option<Live>,
}

pub(super) async fn read(object: &DynamicObject, spec: &MeshRevisionTag, context: &Context) -> Result<Seen, Failure> {
    let labels = format!("{}={},{}={}", names::MANAGED_BY, names::MANAGER, names::TAG, object.name_any());
    let lists = context.namespaces.iter().map(|namespace| services(context, namespace, &labels));
    let services = futures::future::try_join_all(lists).await?.into_iter().flatten().collect();
    let namesake = context.get(kinds::REVISION, &object.name_any()).await?;
    Ok(Seen { revision: context.get(kinds::REVISION, heaviest(spec)).await?, services, namesake })
}

/// There are none in a namespace that is gone, or about to be, and whose leave the operator has no more.
async fn services(context: &Context, namespace: &str, labels: &str) -> Result<Vec<Live>, Failure> {
    let failure = match context.list(kinds::SERVICE, namespace, labels).await {
        Ok(services) => return Ok(services),
        Err(failure) => failure,
    };
    let failure = context.explained(failure, namespace).await;
    if ["NamespaceMissing", "NamespaceTerminating"].contains(&failure.reason) { Ok(Vec::new()) } else { Err(failure) }
}
