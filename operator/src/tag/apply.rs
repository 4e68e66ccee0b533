//! A tag's Service, put in place.

use super::{dereference::Seen, validate::Tag};
use crate::{
    apply::{Wanted, unwanted},
    context::Context,
    failure::Failure,
};

pub(super) async fn apply(context: &Context, tag: &Tag, seen: &Seen, wanted: &Wanted) -> Result<(), Failure> {
    let live = seen.services.iter().find(|live| live.id() == wanted.id() && live.is_owned_by(&tag.uid));
    context.applier.apply(wanted, live).await?;
    for live in unwanted(std::slice::from_ref(wanted), &seen.services, &tag.uid) {
        context.applier.delete(live).await?;
    }
    Ok(())
}
