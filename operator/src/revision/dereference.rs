//! What a revision's reconciliation reads.

use super::{apply::Applied, health, validate::Revision};
use crate::{apply::Live, context::Context, failure::Failure, kinds, names, proxies};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tombolo_api::mesh::MeshRevisionTag;

/// What there is of a revision.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Its objects.
    pub(crate) live: Vec<Live>,
    /// The tags that name it.
    pub(crate) tags: Vec<String>,
    /// How many proxies are connected to it; `None` before they were looked for.
    pub(crate) proxies: Option<proxies::Count>,
}

impl Seen {
    /// The object of a kind and name, if the revision owns it.
    pub(crate) fn find(&self, revision: &Revision, id: &crate::apply::Id) -> Option<&Live> {
        self.live.iter().find(|live| live.id() == *id && live.is_owned_by(&revision.uid))
    }
}

/// Which of a kind's objects are a revision's.
fn selector(revision: &Revision) -> String {
    format!("{}={},{}={}", names::MANAGED_BY, names::MANAGER, names::REVISION, revision.name)
}

pub(super) async fn read(context: &Context, revision: &Revision) -> Result<Seen, Failure> {
    let (selector, namespace) = (selector(revision), revision.namespace());
    if !context.namespaces.iter().any(|managed| managed == namespace) {
        let message = format!(
            "the operator may install nothing in namespace {namespace}: add it to operator.meshNamespaces of the chart"
        );
        return Err(Failure::of_user("NamespaceNotManaged", message));
    }
    let lists = kinds::OF_REVISION.map(|kind| context.list(kind, namespace, &selector));
    let live = futures::future::try_join_all(lists).await?.into_iter().flatten().collect();
    let tags = context.list(kinds::TAG, "", "").await?;
    let names_it = |tag: &Live| {
        let spec: Option<MeshRevisionTag> = serde_json::from_value(tag.object.data.get("spec")?.clone()).ok();
        spec?.targets.iter().any(|target| *target.revision == *revision.name).then(|| tag.object.name_any())
    };
    let proxies = context.proxies.borrow().get(&revision.name).copied();
    Ok(Seen { live, tags: tags.iter().filter_map(names_it).collect(), proxies })
}

/// Its pods, where the Deployment does not say all that there is to say.
pub(super) async fn pods(context: &Context, revision: &Revision, applied: &Applied) -> Result<Vec<Pod>, Failure> {
    if applied.deployment.as_ref().is_some_and(health::is_complete) {
        return Ok(Vec::new());
    }
    proxies::replicas(context, revision.namespace(), Some(&revision.name)).await
}
