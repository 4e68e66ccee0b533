//! Server-side apply that writes nothing where nothing changed.

mod owned;

pub use owned::owned;

use kube::{
    Api, Client, Error,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::Value;
use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Applies objects as one field manager. Fields of others are left alone.
///
/// Nothing is written where the live object's fields of ours are what applying gave the last time. What the API server makes of
/// a value (`0.5` CPUs become `500m`) does not matter so. After a restart, where nothing is remembered, they are compared
/// with what is wanted itself: at worst an object is applied once more, which changes nothing in it.
pub struct Applier {
    client: Client,
    manager: String,
    applied: Mutex<HashMap<Id, Applied>>,
}

/// Kind with its API version, namespace, and name.
type Id = (ApiResource, String, String);

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

    /// Makes an object be as wanted, and returns it as it is then. Only fields that are there count: leave out what others decide.
    ///
    /// `live`: the object as it is stored, with its `managedFields`, where it is known. `force`: fields of ours are put right
    /// whoever owns them now; without it, another owner's are an error.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn apply(
        &self,
        resource: &ApiResource,
        wanted: &Value,
        live: Option<&DynamicObject>,
        force: bool,
    ) -> Result<DynamicObject, Error> {
        let id = id(resource, wanted);
        let mut wanted = wanted.clone();
        wanted["apiVersion"] = resource.api_version.as_str().into();
        wanted["kind"] = resource.kind.as_str().into();
        remove_nulls(&mut wanted);
        if let Some(live) = live.filter(|live| self.is_settled(&id, &wanted, live)) {
            return Ok(live.clone());
        }
        let parameters = PatchParams { force, ..PatchParams::apply(&self.manager) };
        let stored = self.api(&id).patch(&id.2, &parameters, &Patch::Apply(&wanted)).await?;
        // The API server keeps the version where nothing came of it.
        if live.is_none_or(|live| live.metadata.resource_version != stored.metadata.resource_version) {
            tracing::info!(kind = resource.kind, namespace = id.1, name = id.2, "applied");
        }
        let applied = Applied { wanted: hash(&wanted), owned: hash(&self.owned(&stored)) };
        self.memory().insert(id, applied);
        Ok(stored)
    }

    /// Forgets an object: it is gone, and nothing needs to be remembered.
    pub fn forget(&self, resource: &ApiResource, namespace: &str, name: &str) {
        self.memory().remove(&(resource.clone(), namespace.to_owned(), name.to_owned()));
    }

    fn is_settled(&self, id: &Id, wanted: &Value, live: &DynamicObject) -> bool {
        let owned = self.owned(live);
        let now = Applied { wanted: hash(wanted), owned: hash(&owned) };
        self.memory().get(id) == Some(&now) || owned == fields(wanted)
    }

    fn owned(&self, live: &DynamicObject) -> Value {
        // Whatever was read as JSON can be written as such.
        owned(&serde_json::to_value(live).unwrap_or_default(), &self.manager)
    }

    fn api(&self, (resource, namespace, _): &Id) -> Api<DynamicObject> {
        match &**namespace {
            "" => Api::all_with(self.client.clone(), resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, resource),
        }
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<Id, Applied>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(resource: &ApiResource, wanted: &Value) -> Id {
    let text = |field: &str| wanted["metadata"][field].as_str().unwrap_or_default().to_owned();
    (resource.clone(), text("namespace"), text("name"))
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
