//! Whether the operator can do its work, as the kubelet asks: once the API server has answered whatever it will be asked.
//!
//! This is asked by every replica, whether it leads or not: an update of the operator waits for the new one to be ready, and only
//! then ends the one that leads. For the same reason a kind that is not defined is an answer: who leads defines ours.

#[cfg(test)]
mod tests;

use crate::{
    context::Context,
    definitions,
    failure::{Failure, Retry},
    kinds,
    watched::{self, Watched},
};
use kube::{Api, api::DynamicObject};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tombolo_kubernetes::watch::WatchBackoff;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the operator is ready, and why not. A handle: clones are the same one.
#[derive(Clone)]
pub(crate) struct Readiness(Arc<Mutex<Result<(), String>>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Err("the API server has not answered yet".to_owned()))))
    }
}

impl Readiness {
    /// What is told whoever asks; an error says what is waited for.
    pub(crate) fn told(&self) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True where this is new.
    fn tell(&self, now: Result<(), String>) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = *told != now;
        *told = now;
        new
    }
}

/// Asks all that there is to ask until it is answered. Then the operator is ready until it is told to stop: that the API server is
/// away later is nothing that another pod would do better.
pub(crate) async fn settle(context: Arc<Context>, readiness: Readiness, stop: CancellationToken) {
    stop.run_until_cancelled(until_answered(&context, &readiness)).await;
    stop.cancelled().await;
    readiness.tell(Err("it was told to stop".to_owned()));
}

async fn until_answered(context: &Context, readiness: &Readiness) {
    let mut waits = WatchBackoff::default();
    for name in definitions::names() {
        while let Err(failure) = look_at_definition(context, name).await {
            wait(&failure, readiness, &mut waits).await;
        }
    }
    for watched in watched::everything() {
        for objects in watched.apis(context) {
            while let Err(failure) = list(context, watched, &objects).await {
                wait(&failure, readiness, &mut waits).await;
            }
        }
    }
    readiness.tell(Ok(()));
    tracing::info!("the API server has answered: ready");
}

async fn wait(failure: &Failure, readiness: &Readiness, waits: &mut WatchBackoff) {
    if readiness.tell(Err(failure.message.clone())) {
        tracing::warn!(reason = failure.reason, "not ready: {failure}");
    }
    tokio::time::sleep(waits.next().unwrap_or(PATIENCE)).await;
}

async fn look_at_definition(context: &Context, name: &str) -> Result<(), Failure> {
    let looked = tokio::time::timeout(PATIENCE, context.get(kinds::DEFINITION, name)).await;
    looked.unwrap_or_else(|_| Err(no_answer(&format!("read CustomResourceDefinition {name}")))).map(drop)
}

/// Does what a watch begins with, of one object. There is none in a namespace that is gone, or goes, and with it the
/// leave to look.
async fn list(context: &Context, watched: Watched, objects: &Api<DynamicObject>) -> Result<(), Failure> {
    let doing = format!("list {}", objects.resource_url());
    match tokio::time::timeout(PATIENCE, objects.list_metadata(&watched.one())).await {
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let failure = context.explained(Failure::of_call(&doing, &error), objects.namespace().unwrap_or("")).await;
            if ["NamespaceMissing", "NamespaceTerminating"].contains(&failure.reason) { Ok(()) } else { Err(failure) }
        }
        Err(_) => Err(no_answer(&doing)),
    }
}

fn no_answer(doing: &str) -> Failure {
    let message = format!("cannot {doing}: the API server did not answer within {} s", PATIENCE.as_secs());
    Failure { reason: "ApiServerUnavailable", message, retry: Retry::Soon }
}
