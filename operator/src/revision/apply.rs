//! A revision's objects, put in place.

use super::{dereference::Seen, health, replicas, validate::Revision};
use crate::{
    apply::{Live, Wanted, unwanted},
    context::Context,
    failure::Failure,
    kinds,
};
use k8s_openapi::api::apps::v1::Deployment;

/// What there is after everything was applied: all that status is made of.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) deployment: Option<Deployment>,
}

pub(super) async fn apply(
    context: &Context,
    revision: &Revision,
    seen: &Seen,
    wanted: &[Wanted],
) -> Result<Applied, Failure> {
    let mut applied = Applied::default();
    for object in wanted {
        let live = seen.find(revision, &object.id());
        if object.kind == kinds::DEPLOYMENT {
            hand_over_replicas(context, object, live).await?;
        }
        let stored = context.applier.apply(object, live).await?;
        if object.kind == kinds::DEPLOYMENT {
            applied.deployment = stored.object.try_parse().ok();
        }
    }
    let complete = applied.deployment.as_ref().is_some_and(health::is_complete);
    for live in unwanted(wanted, &seen.live, &revision.uid) {
        // Pods of the version before may start again, and need their settings.
        if complete || live.kind != kinds::CONFIG_MAP {
            context.applier.delete(live).await?;
        }
    }
    Ok(applied)
}

async fn hand_over_replicas(context: &Context, wanted: &Wanted, live: Option<&Live>) -> Result<(), Failure> {
    let count = wanted.body["spec"]["replicas"].as_u64().and_then(|count| count.try_into().ok());
    match (replicas::to_hand_over(count, live), live) {
        (Some(count), Some(live)) => context.applier.hand_over_replicas(live, count).await,
        _ => Ok(()),
    }
}
