//! What all reconcilers have in common: an object is read, led through its steps, and told of.

use crate::{
    condition::Verdict,
    context::Context,
    failure::{A_CALL, A_RECONCILIATION, Failure, Retry, within},
    kinds::Kind,
    status::{self, Status},
};
use kube::{ResourceExt, api::DynamicObject, runtime::controller::Action};
use std::{future::Future, sync::Arc, time::Duration};
use tombolo_api::mesh::Condition;
use tracing::Instrument as _;

/// What a reconciliation came to.
pub(crate) struct Outcome<S> {
    /// All of the status but its conditions.
    pub(crate) status: S,
    pub(crate) verdicts: Vec<Verdict>,
    /// When to look again, though nothing that is watched changed.
    pub(crate) again: Option<Duration>,
}

/// One kind's steps: dereference, validate, build, apply, status.
pub(crate) trait Reconciler: 'static {
    const KIND: Kind;
    /// Of what else attempts are counted under an object's name.
    const BESIDE: Kind = Self::KIND;
    /// The types of the conditions that it writes.
    const CONDITIONS: &'static [&'static str];
    type Status: Status;

    /// The namespace that an object's work is in, if it is in one.
    fn namespace(_object: &DynamicObject) -> Option<&str> {
        None
    }

    fn reconcile(
        object: &DynamicObject,
        context: &Context,
    ) -> impl Future<Output = Result<Outcome<Self::Status>, Failure>> + Send;
}

/// Leads an object through its steps and writes what came of it, a failure too.
pub(crate) async fn reconcile<R: Reconciler>(
    object: Arc<DynamicObject>,
    context: Arc<Context>,
) -> Result<Action, Failure> {
    let name = object.name_any();
    let span = tracing::info_span!("reconcile", kind = R::KIND.name, name, generation = object.metadata.generation);
    let _running = context.metrics.run(R::KIND);
    let action = once::<R>(&name, &context).instrument(span).await?;
    context.succeeded(R::KIND, &name);
    Ok(action)
}

async fn once<R: Reconciler>(name: &str, context: &Context) -> Result<Action, Failure> {
    let doing = |what: &str| format!("{what} {} {name}", R::KIND.name);
    // What is watched may be behind what was just written.
    let read = within(A_CALL, &doing("read"), context.get(R::KIND, name)).await?;
    let Some(object) = read else { return Ok(Action::await_change()) };
    let object = &object.object;
    match within(A_RECONCILIATION, &doing("reconcile"), R::reconcile(object, context)).await {
        Ok(Outcome { status, verdicts, again }) => {
            let write = status::write(context, R::KIND, object, status, &verdicts, R::CONDITIONS);
            within(A_CALL, &doing("write the status of"), write).await?;
            Ok(again.map_or_else(Action::await_change, Action::requeue))
        }
        Err(failure) => Err(within(A_CALL, &doing("tell of"), told::<R>(failure, object, context)).await?),
    }
}

/// Tells people of a failure, if it is of their concern, and returns it.
async fn told<R: Reconciler>(failure: Failure, object: &DynamicObject, context: &Context) -> Result<Failure, Failure> {
    let failure = match R::namespace(object) {
        Some(namespace) => context.explained(failure, namespace).await,
        None => failure,
    };
    if failure.is_told(context.failures(R::KIND, &object.name_any())) {
        let before: R::Status = status::of(object);
        let verdicts = failed(&failure, is_ready(object, before.clone()));
        let told = status::write(context, R::KIND, object, before, &verdicts, R::CONDITIONS).await;
        // Where the API server is away, nothing can be written either.
        if let (Err(untold), true) = (told, failure.retry != Retry::Soon) {
            return Err(untold);
        }
    }
    Ok(failure)
}

/// Whether an object was said to be ready as it is now.
fn is_ready<S: Status>(object: &DynamicObject, mut status: S) -> bool {
    let generation = object.metadata.generation.unwrap_or_default();
    let ready = |condition: &Condition| {
        (&*condition.r#type, &*condition.status, condition.observed_generation) == ("Ready", "True", generation)
    };
    status.conditions().iter().any(ready)
}

/// What is said of an object that did not get through its steps. What ran before runs on: where nobody has to do anything about
/// it, what was `ready` still is.
fn failed(failure: &Failure, ready: bool) -> Vec<Verdict> {
    let (reason, message) = (failure.reason, &failure.message);
    let degraded = Verdict::new("Degraded", true, reason, message).alarming();
    if ready && failure.retry == Retry::Soon {
        return vec![degraded];
    }
    vec![Verdict::new("Ready", false, reason, message), Verdict::new("Progressing", false, reason, message), degraded]
}

/// An object is gone: nothing needs to be remembered of it.
pub(crate) fn forget<R: Reconciler>(context: &Context, name: &str) {
    context.succeeded(R::KIND, name);
    context.succeeded(R::BESIDE, name);
}

/// When to try again.
#[allow(clippy::needless_pass_by_value)] // kube's signature
pub(crate) fn on_failure<R: Reconciler>(
    object: Arc<DynamicObject>,
    failure: &Failure,
    context: Arc<Context>,
) -> Action {
    let name = object.name_any();
    context.metrics.failed(R::KIND, failure.reason);
    let failures = context.failed(R::KIND, &name);
    tracing::warn!(kind = R::KIND.name, name, reason = failure.reason, "{failure}");
    failure.delay(failures).map_or_else(Action::await_change, Action::requeue)
}

#[cfg(test)]
mod tests;
