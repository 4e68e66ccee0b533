//! Deleting what is no longer wanted, and nothing else.

use super::{Applier, Target};
use crate::retry::Failure;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Preconditions},
};
use std::collections::BTreeSet;

/// Objects listed at once.
const PAGE: u32 = 200;

/// What may be pruned: objects of these kinds that carry these labels.
#[derive(Clone, Debug)]
pub struct Prune<'a> {
    /// The kinds.
    pub resources: &'a [ApiResource],
    /// Where; everywhere, and cluster-scoped kinds, where `None`.
    pub namespace: Option<&'a str>,
    /// A label selector that says whose they are. An empty one is refused.
    pub labels: &'a str,
}

/// Why pruning ended early. What was deleted before is gone; the next run goes on.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// Everything would be pruned.
    #[error("nothing is pruned without a label selector: name the owner's labels")]
    NoLabels,
    /// The API server said no, or nothing.
    #[error("{what} cannot be pruned: {source}: {}", Failure::of(source).fix())]
    Refused {
        /// Kind, or object.
        what: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
}

impl Applier {
    /// Deletes what `prune` covers and `keep` does not name, in the background: what they own goes too. One that was made
    /// again meanwhile is left alone. A kind that the cluster does not have counts as pruned. Returns what was deleted.
    ///
    /// # Errors
    /// There is no selector, or the API server refuses.
    pub async fn prune(&self, prune: &Prune<'_>, keep: &BTreeSet<Target>) -> Result<Vec<Target>, PruneError> {
        if prune.labels.trim().is_empty() {
            return Err(PruneError::NoLabels);
        }
        let mut deleted = Vec::new();
        for resource in prune.resources {
            let api: Api<DynamicObject> = match prune.namespace {
                Some(namespace) => Api::namespaced_with(self.client().clone(), namespace, resource),
                None => Api::all_with(self.client().clone(), resource),
            };
            let mut page = ListParams::default().labels(prune.labels).limit(PAGE);
            loop {
                let listed = match api.list_metadata(&page).await {
                    Ok(listed) => listed,
                    Err(error) if Failure::of(&error) == Failure::NotFound => break,
                    Err(error) => return Err(refused(&resource.kind, error)),
                };
                let next = listed.metadata.continue_.clone().filter(|token| !token.is_empty());
                for object in listed {
                    let target = Target::of(resource, &object);
                    if keep.contains(&target) || object.metadata.deletion_timestamp.is_some() {
                        continue;
                    }
                    self.delete(resource, &target, object.uid()).await?;
                    deleted.push(target);
                }
                match next {
                    Some(token) => page.continue_token = Some(token),
                    None => break,
                }
            }
        }
        Ok(deleted)
    }

    async fn delete(&self, resource: &ApiResource, target: &Target, uid: Option<String>) -> Result<(), PruneError> {
        let params = DeleteParams::background().preconditions(Preconditions { uid, resource_version: None });
        match self.api(resource, target).delete(&target.name, &params).await {
            Ok(_) => {}
            // Gone, or another object by now.
            Err(error) if matches!(Failure::of(&error), Failure::NotFound | Failure::Conflict) => {}
            Err(error) => return Err(refused(&target.to_string(), error)),
        }
        self.forget(target);
        Ok(())
    }
}

fn refused(what: &str, error: kube::Error) -> PruneError {
    PruneError::Refused { what: what.to_owned(), source: Box::new(error) }
}
