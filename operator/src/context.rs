//! What every reconciliation shares.

use crate::{apply::Applier, definitions::Finding, failure::Failure, kinds::Kind, metrics::Metrics};
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What every reconciliation shares.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) applier: Applier,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    /// Where control planes may be installed.
    pub(crate) namespaces: Vec<String>,
    /// Host and path before the names of images, where an installation names none.
    pub(crate) registry: String,
    /// Held while certificates are made: tags share them.
    pub(crate) certificates: tokio::sync::Mutex<()>,
    failures: Mutex<HashMap<(Kind, String), u32>>,
    definitions: Mutex<Vec<Finding>>,
}

impl Context {
    pub(crate) fn new(
        client: Client,
        identity: String,
        namespaces: Vec<String>,
        registry: String,
        metrics: Metrics,
    ) -> Self {
        let reporter = Reporter { controller: crate::names::MANAGER.to_owned(), instance: Some(identity) };
        Self {
            applier: Applier::new(client.clone()),
            recorder: Recorder::new(client.clone(), reporter),
            client,
            metrics,
            namespaces,
            registry,
            certificates: tokio::sync::Mutex::default(),
            failures: Mutex::default(),
            definitions: Mutex::default(),
        }
    }

    /// Notes that an object's reconciliation failed; how often it had failed before.
    pub(crate) fn failed(&self, kind: Kind, name: &str) -> u32 {
        let mut failures = locked(&self.failures);
        let count = failures.entry((kind, name.to_owned())).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        self.metrics.retrying(kind, failures.keys().filter(|(of, _)| *of == kind).count());
        before
    }

    /// Notes that it got through, or that the object is gone.
    pub(crate) fn succeeded(&self, kind: Kind, name: &str) {
        let mut failures = locked(&self.failures);
        if failures.remove(&(kind, name.to_owned())).is_some() {
            self.metrics.retrying(kind, failures.keys().filter(|(of, _)| *of == kind).count());
        }
    }

    /// What was found of our CustomResourceDefinitions.
    pub(crate) fn definitions(&self) -> Vec<Finding> {
        locked(&self.definitions).clone()
    }

    pub(crate) fn found_definitions(&self, findings: Vec<Finding>) {
        *locked(&self.definitions) = findings;
    }

    /// Reads all objects of a kind with some labels.
    pub(crate) async fn list(
        &self,
        kind: Kind,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<crate::apply::Live>, Failure> {
        let parameters = kube::api::ListParams::default().labels(labels);
        let list = kind.objects(&self.client, namespace).list(&parameters).await;
        let list = list.map_err(|error| Failure::of_call(&format!("list {}s", kind.name), &error))?;
        Ok(list.items.into_iter().map(|object| crate::apply::Live { kind, object }).collect())
    }

    /// Reads an object of a cluster-wide kind; `None` where there is none.
    pub(crate) async fn get(&self, kind: Kind, name: &str) -> Result<Option<crate::apply::Live>, Failure> {
        let object = kind.objects(&self.client, "").get_opt(name).await;
        let object = object.map_err(|error| Failure::of_call(&format!("read {} {name}", kind.name), &error))?;
        Ok(object.map(|object| crate::apply::Live { kind, object }))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
