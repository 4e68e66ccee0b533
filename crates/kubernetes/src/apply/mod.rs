//! Server-side apply that writes nothing where nothing changed, and pruning.

mod owned;
mod prune;

pub use owned::owned;
pub use prune::{Prune, PruneError};

use crate::retry::Failure;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    fmt,
    hash::{Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Which object: kind, namespace (empty for cluster-scoped ones) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// `apps/v1`
    pub api_version: String,
    /// `Deployment`
    pub kind: String,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Target {
    /// Which object this is, of this kind.
    pub fn of(resource: &ApiResource, object: &impl ResourceExt) -> Self {
        let ApiResource { api_version, kind, .. } = resource.clone();
        Self { api_version, kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// What applying came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was different.
    Changed,
    /// It was as wanted.
    Unchanged,
}

/// Why something could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// What is wanted is no object that can be applied.
    #[error("{kind} cannot be applied: {problem}")]
    Unusable {
        /// Its kind.
        kind: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The API server said no, or nothing.
    #[error("{target} cannot be applied: {source}: {}", Failure::of(source).fix())]
    Refused {
        /// Which object.
        target: Target,
        /// What the API server said.
        source: Box<kube::Error>,
    },
}

impl ApplyError {
    /// What the error means for the next try.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Unusable { .. } => Failure::Invalid,
            Self::Refused { source, .. } => Failure::of(source),
        }
    }
}

/// Applies objects as one field manager, by force: its fields are its own. Fields of others are left alone.
///
/// Nothing is written where the live object's fields of ours are what applying gave the last time. What the API server makes of
/// a value (`0.5` CPUs become `500m`) does not matter so. After a restart, where nothing is remembered, they are compared
/// with what is wanted itself: at worst an object is applied once more, which changes nothing in it.
pub struct Applier {
    client: Client,
    manager: String,
    applied: Mutex<HashMap<Target, Applied>>,
}

/// What was wanted, and what the API server made of it: hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Applied {
    wanted: u64,
    owned: u64,
}

impl Applier {
    /// Applies as this field manager.
    pub fn new(client: Client, manager: &str) -> Self {
        Self { client, manager: manager.to_owned(), applied: Mutex::default() }
    }

    /// Makes an object be as wanted; looks first. Only fields that are there count: leave out what others decide.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn apply<K>(&self, wanted: &K) -> Result<Outcome, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        self.apply_value(&ApiResource::erase::<K>(&()), to_value(wanted)?).await
    }

    /// Likewise where the live object is known, from a watch: then nothing is asked where nothing changed. It must have its
    /// `managedFields`.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn apply_over<K>(&self, wanted: &K, live: Option<&K>) -> Result<Outcome, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let live = live.map(to_value).transpose()?;
        self.put(&ApiResource::erase::<K>(&()), to_value(wanted)?, live.as_ref()).await
    }

    /// Likewise for an object in JSON; looks first.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn apply_value(&self, resource: &ApiResource, wanted: Value) -> Result<Outcome, ApplyError> {
        let target = target(resource, &wanted)?;
        let live = self.api(resource, &target).get_opt(&target.name).await;
        let live = live.map_err(|error| refused(&target, error))?;
        let live = live.as_ref().map(to_value).transpose()?;
        self.put(resource, wanted, live.as_ref()).await
    }

    /// Forgets an object: it is gone, and nothing needs to be remembered.
    pub fn forget(&self, target: &Target) {
        self.memory().remove(target);
    }

    /// The client that it asks with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn put(
        &self,
        resource: &ApiResource,
        mut wanted: Value,
        live: Option<&Value>,
    ) -> Result<Outcome, ApplyError> {
        let target = target(resource, &wanted)?;
        wanted["apiVersion"] = resource.api_version.as_str().into();
        wanted["kind"] = resource.kind.as_str().into();
        remove_nulls(&mut wanted);
        if live.is_some_and(|live| self.is_settled(&target, &wanted, live)) {
            return Ok(Outcome::Unchanged);
        }
        let params = PatchParams::apply(&self.manager).force();
        let patched = self.api(resource, &target).patch(&target.name, &params, &Patch::Apply(&wanted)).await;
        let patched = to_value(&patched.map_err(|error| refused(&target, error))?)?;
        let applied = Applied { wanted: hash(&wanted), owned: hash(&owned(&patched, &self.manager)) };
        self.memory().insert(target, applied);
        Ok(match live {
            None => Outcome::Created,
            // The API server keeps the version where nothing came of it.
            Some(live) if live["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"] => {
                Outcome::Unchanged
            }
            Some(_) => Outcome::Changed,
        })
    }

    fn is_settled(&self, target: &Target, wanted: &Value, live: &Value) -> bool {
        let owned = owned(live, &self.manager);
        let now = Applied { wanted: hash(wanted), owned: hash(&owned) };
        match self.memory().get(target) {
            Some(applied) if *applied == now => true,
            _ => owned == fields(wanted),
        }
    }

    fn api(&self, resource: &ApiResource, target: &Target) -> Api<DynamicObject> {
        match &*target.namespace {
            "" => Api::all_with(self.client.clone(), resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, resource),
        }
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<Target, Applied>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(target: &Target, error: kube::Error) -> ApplyError {
    ApplyError::Refused { target: target.clone(), source: Box::new(error) }
}

fn to_value<K: Serialize>(object: &K) -> Result<Value, ApplyError> {
    serde_json::to_value(object).map_err(|error| ApplyError::Unusable {
        kind: std::any::type_name::<K>().to_owned(),
        problem: error.to_string(),
    })
}

fn target(resource: &ApiResource, wanted: &Value) -> Result<Target, ApplyError> {
    let text = |field: &str| wanted["metadata"][field].as_str().unwrap_or_default().to_owned();
    let ApiResource { api_version, kind, .. } = resource.clone();
    let target = Target { api_version, kind, namespace: text("namespace"), name: text("name") };
    if target.name.is_empty() {
        return Err(ApplyError::Unusable { kind: target.kind, problem: "it has no metadata.name".to_owned() });
    }
    Ok(target)
}

/// What of a wanted object stands in `managedFields`: all but what says which object it is.
fn fields(wanted: &Value) -> Value {
    let mut fields = wanted.clone();
    if let Some(all) = fields.as_object_mut() {
        all.remove("apiVersion");
        all.remove("kind");
        if let Some(metadata) = all.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("name");
            metadata.remove("namespace");
            if metadata.is_empty() {
                all.remove("metadata");
            }
        }
    }
    fields
}

/// Applying null would claim a field to be nothing.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// Maps of JSON are sorted, so equal values have equal text. Remembered within this process only.
fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
