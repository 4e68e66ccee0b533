//! An installation's objects, put in place.

use super::{dereference::Seen, validate::Installation};
use crate::{
    apply::{Live, Wanted},
    context::Context,
    failure::Failure,
    kinds,
};

/// What there is after everything was applied: all that status is made of.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) revision: Live,
    pub(crate) tag: Live,
}

pub(super) async fn apply(
    context: &Context,
    installation: &Installation,
    seen: &Seen,
    wanted: &[Wanted],
) -> Result<Applied, Failure> {
    let (mut revision, mut tag) = (None, None);
    for object in wanted {
        let known =
            [&seen.revision, &seen.tag, &seen.class].into_iter().flatten().find(|live| live.id() == object.id());
        let ours = known.filter(|live| live.is_owned_by(&installation.uid));
        let live = context.applier.apply(object, ours).await?;
        match object.kind {
            kinds::REVISION => revision = Some(live),
            kinds::TAG => tag = Some(live),
            _ => {}
        }
    }
    revision.zip(tag).map(|(revision, tag)| Applied { revision, tag }).ok_or_else(|| {
        Failure::of_user(
            "NothingBuilt",
            "an installation has a revision and a tag: this is a mistake of the operator's",
        )
    })
}
