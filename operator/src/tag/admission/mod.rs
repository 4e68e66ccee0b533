//! Admission for a tag: certificates, kept in a Secret that control planes show to the API server, and the webhook that
//! trusts them.
//!
//! Nothing depends on it: a tag leads where it leads while its webhook cannot be made, and says so.

mod certificates;
mod secret;
mod webhook;

/// The files that a control plane needs of the Secret: no authority's keys.
pub(crate) const SHOWN: [&str; 2] = [certificates::CERTIFICATE, certificates::KEY];

use super::validate::Tag;
use crate::{condition::Verdict, context::Context, failure::Failure, kinds, names};
use std::time::Duration;

/// Certificates are looked at this often: a step of a rotation comes that much late.
const LOOK: Duration = Duration::from_secs(3600);

/// What became of a tag's admission.
pub(super) struct Admission {
    /// `None`: what was said before still holds.
    pub(super) verdict: Option<Verdict>,
    /// When to look again.
    pub(super) again: Duration,
}

/// Makes and renews what admission needs.
pub(super) async fn settle(context: &Context, tag: &Tag) -> Admission {
    match put_in_place(context, tag).await {
        Ok(()) => {
            context.succeeded(kinds::VALIDATING_WEBHOOK, &tag.name);
            let message = format!("what is written is reviewed, and warned of, by revision {}", tag.revision);
            Admission { verdict: Some(Verdict::new("Admission", true, "Reviewing", message)), again: LOOK }
        }
        Err(failure) => {
            context.metrics.failed(kinds::TAG, failure.reason);
            tracing::warn!(reason = failure.reason, "no admission: {failure}");
            let hint = if failure.reason == "MissingPermission" { ": for tags in operator.tags" } else { "" };
            let verdict = || Verdict::new("Admission", false, failure.reason, format!("{failure}{hint}")).alarming();
            let before = context.failed(kinds::VALIDATING_WEBHOOK, &tag.name);
            let verdict = failure.is_told(before).then(verdict);
            Admission { verdict, again: failure.delay(before).unwrap_or(LOOK) }
        }
    }
}

async fn put_in_place(context: &Context, tag: &Tag) -> Result<(), Failure> {
    let bundle = secret::settle(context, tag).await?;
    let wanted = webhook::configuration(tag, &bundle);
    let live = context.get(kinds::VALIDATING_WEBHOOK, &names::of_tag(&tag.name)).await?;
    context.applier.apply(&wanted, live.filter(|live| live.is_owned_by(&tag.uid)).as_ref()).await?;
    Ok(())
}
