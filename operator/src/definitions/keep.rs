//! Keeps our definitions in place for as long as somebody leads: whether or not there is an installation, and a definition of
//! MeshInstallation.

use super::{Finding, Intact, State, defined::Names, names, settle};
use crate::{
    context::Context,
    failure::{Failure, LASTING, Retry},
    kinds, watched, watching,
};
use futures::StreamExt as _;
use kube::{ResourceExt as _, api::DynamicObject, runtime::watcher::Event};
use std::{pin::pin, time::Duration};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Changes that come together, as all do at the start, are one.
const SOON: Duration = Duration::from_millis(200);
/// Before the next attempt where a failure says nothing else.
const PAUSE: Duration = Duration::from_secs(60);

/// Looks at our definitions whenever one changed, and tells what kinds are defined, until it is told to stop: at once, as a call may
/// never be answered, and who leads next looks at all of them.
pub(crate) async fn keep(context: &Context, stop: &CancellationToken) {
    stop.run_until_cancelled(keep_for_ever(context)).await;
}

async fn keep_for_ever(context: &Context) {
    let watched = watched::all(kinds::DEFINITION);
    let events = watched.apis(context).into_iter().map(|objects| watching::events(watched, objects, context).boxed());
    let mut events = pin!(futures::stream::select_all(events));
    let (mut known, mut intact) = (Names::default(), Intact::default());
    let (mut due, mut failures) = (Some(Instant::now()), 0);
    loop {
        tokio::select! {
            Some(event) = events.next() => {
                known.take(&event, &context.defined);
                if let Event::Apply(definition) | Event::InitApply(definition) | Event::Delete(definition) = &event {
                    note(context, definition, &mut due);
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let settled = settle(context, &mut intact).await;
                let pause = settled.as_ref().err().map(|failure| failure.delay(failures).unwrap_or(PAUSE));
                due = pause.map(|pause| Instant::now() + pause);
                failures = if due.is_some() { failures + 1 } else { 0 };
                tell(context, settled, failures);
            }
        }
    }
}

/// Notes that a definition changed, if that is of any concern.
fn note(context: &Context, definition: &DynamicObject, due: &mut Option<Instant>) {
    let name = definition.name_any();
    if names().any(|ours| *ours == name) {
        let soon = Instant::now() + SOON;
        *due = Some(due.map_or(soon, |due| due.min(soon)));
    } else if name.ends_with(".gateway.networking.k8s.io") {
        context.definitions.send_modify(|state| state.gateway_api += 1);
    }
}

/// Tells what came of a look. `failures`: how many looks in a row failed.
fn tell(context: &Context, settled: Result<Vec<Finding>, Failure>, failures: u32) {
    if let Err(failure) = &settled {
        tracing::warn!(reason = failure.reason, "{failure}");
        context.metrics.failed(kinds::DEFINITION, failure.reason);
    }
    let state = |before: &State| match settled {
        Ok(findings) => State { findings, failure: None, ..before.clone() },
        Err(failure) if failure.retry != Retry::Soon || failures >= LASTING => {
            State { failure: Some(failure), ..before.clone() }
        }
        Err(_) => before.clone(),
    };
    context.definitions.send_if_modified(|known| {
        let now = state(known);
        let new = *known != now;
        *known = now;
        new
    });
}

#[cfg(test)]
mod tests;
