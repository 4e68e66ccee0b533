//! What every reconciliation shares.

use crate::{
    apply::{Applier, Live},
    definitions::{self, Defined},
    failure::Failure,
    kinds::Kind,
    metrics::Metrics,
    proxies,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::ListParams,
    runtime::events::{Recorder, Reporter},
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;
use tombolo_kubernetes::retry;

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
    /// Which kinds can be watched.
    pub(crate) defined: Defined,
    /// What there is of definitions.
    pub(crate) definitions: watch::Sender<definitions::State>,
    /// How many proxies are connected to which revision.
    pub(crate) proxies: watch::Sender<proxies::Counts>,
    failures: Mutex<HashMap<(Kind, String), u32>>,
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
            defined: Defined::default(),
            definitions: watch::Sender::default(),
            proxies: watch::Sender::default(),
            failures: Mutex::default(),
        }
    }

    /// Forgets what was found when it led before: who led meanwhile may have changed all of it.
    pub(crate) fn begin(&self) {
        self.definitions.send_replace(definitions::State::default());
        self.proxies.send_replace(proxies::Counts::default());
        for (kind, _) in locked(&self.failures).drain().map(|(failed, _)| failed) {
            self.metrics.retrying(kind, 0);
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

    /// How often in a row it has failed.
    pub(crate) fn failures(&self, kind: Kind, name: &str) -> u32 {
        locked(&self.failures).get(&(kind, name.to_owned())).copied().unwrap_or_default()
    }

    /// Notes that it got through, or that the object is gone.
    pub(crate) fn succeeded(&self, kind: Kind, name: &str) {
        let mut failures = locked(&self.failures);
        if failures.remove(&(kind, name.to_owned())).is_some() {
            self.metrics.retrying(kind, failures.keys().filter(|(of, _)| *of == kind).count());
        }
    }

    /// The operator's own namespace.
    pub(crate) fn namespace(&self) -> &str {
        self.namespaces.first().map_or("", String::as_str)
    }

    /// Reads all objects of a kind with some labels.
    pub(crate) async fn list(&self, kind: Kind, namespace: &str, labels: &str) -> Result<Vec<Live>, Failure> {
        let parameters = ListParams::default().labels(labels);
        let list = kind.objects(&self.client, namespace).list(&parameters).await;
        let list = list.map_err(|error| Failure::of_call(&format!("list {}s", kind.name), &error))?;
        Ok(list.items.into_iter().map(|object| Live { kind, object }).collect())
    }

    /// Reads an object of a cluster-wide kind; `None` where there is none.
    pub(crate) async fn get(&self, kind: Kind, name: &str) -> Result<Option<Live>, Failure> {
        let object = kind.objects(&self.client, "").get_opt(name).await;
        let object = object.map_err(|error| Failure::of_call(&format!("read {} {name}", kind.name), &error))?;
        Ok(object.map(|object| Live { kind, object }))
    }

    /// Why something failed in a namespace: where it goes, what permits the operator to work in it goes first.
    pub(crate) async fn explained(&self, failure: Failure, namespace: &str) -> Failure {
        let there = format!("in the namespace \"{namespace}\"");
        if failure.reason != "MissingPermission" || !failure.message.contains(&there) {
            return failure;
        }
        let named = ListParams::default().fields(&format!("metadata.name={namespace}"));
        match Api::<Namespace>::all(self.client.clone()).list_metadata(&named).await {
            Ok(found) => match found.items.first() {
                None => Failure::of_namespace(namespace, retry::Failure::NamespaceMissing),
                Some(found) if found.metadata.deletion_timestamp.is_some() => {
                    Failure::of_namespace(namespace, retry::Failure::Terminating)
                }
                Some(_) => failure,
            },
            Err(_) => failure, // nothing is known of it
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
