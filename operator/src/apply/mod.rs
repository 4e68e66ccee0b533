//! Server-side apply, of differences only.

mod project;
mod prune;

pub(crate) use prune::unwanted;

use crate::{
    failure::Failure,
    kinds::Kind,
    names::{HANDOVER, MANAGER},
};
use kube::{
    Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PropagationPolicy},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use xxhash_rust::xxh3::xxh3_128;

/// An object as it should be: the fields that are ours, and no others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) kind: Kind,
    /// With `metadata.name`, and `metadata.namespace` if the kind has such.
    pub(crate) body: Value,
}

/// An object that is stored.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) kind: Kind,
    pub(crate) object: DynamicObject,
}

/// Which object.
pub(crate) type Id = (Kind, String, String);

impl Wanted {
    /// An object of a kind; apiVersion and kind are filled in.
    pub(crate) fn new(kind: Kind, mut body: Value) -> Self {
        body["apiVersion"] = kind.api_version().into();
        body["kind"] = kind.name.into();
        Self { kind, body }
    }

    pub(crate) fn name(&self) -> &str {
        self.body["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.body["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> Id {
        (self.kind, self.namespace().to_owned(), self.name().to_owned())
    }

    fn hash(&self) -> u128 {
        xxh3_128(self.body.to_string().as_bytes())
    }
}

impl Live {
    pub(crate) fn id(&self) -> Id {
        let metadata = &self.object.metadata;
        (self.kind, metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
    }

    /// As the API server has it.
    pub(crate) fn json(&self) -> Value {
        serde_json::to_value(&self.object).unwrap_or_default()
    }

    /// True where one of its owners has this uid.
    pub(crate) fn is_owned_by(&self, uid: &str) -> bool {
        self.object.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
    }
}

/// What was applied last, and what the API server made of it.
struct Memory {
    wanted: u128,
    stored: Value,
}

/// Writes what differs. It forgets when it ends: the first time, everything is applied once.
pub(crate) struct Applier {
    client: Client,
    memory: Mutex<HashMap<Id, Memory>>,
}

impl Applier {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, memory: Mutex::default() }
    }

    /// Makes an object as it is wanted. `live`: what is stored, if it is known to be ours.
    ///
    /// An object of ours is put right whoever changed it; one that is not known to be ours is touched only where nobody else
    /// owns the fields.
    pub(crate) async fn apply(&self, wanted: &Wanted, live: Option<&Live>) -> Result<Live, Failure> {
        if let Some(live) = live.filter(|live| self.is_as_applied(wanted, live)) {
            return Ok(live.clone());
        }
        let parameters = PatchParams { force: live.is_some(), ..PatchParams::apply(MANAGER) };
        let object = self.patch(wanted.kind, wanted.namespace(), wanted.name(), &wanted.body, &parameters).await?;
        let live = Live { kind: wanted.kind, object };
        let memory = Memory { wanted: wanted.hash(), stored: project::project(&live.json(), &wanted.body) };
        self.memory().insert(wanted.id(), memory);
        tracing::info!(kind = wanted.kind.name, namespace = wanted.namespace(), name = wanted.name(), "applied");
        Ok(live)
    }

    /// True where this is what was applied last, and nobody has changed it since.
    fn is_as_applied(&self, wanted: &Wanted, live: &Live) -> bool {
        self.memory().get(&wanted.id()).is_some_and(|memory| {
            memory.wanted == wanted.hash() && memory.stored == project::project(&live.json(), &wanted.body)
        })
    }

    /// Gives a count of replicas to a manager of its own: it stays as it is when the operator no longer states one.
    pub(crate) async fn hand_over_replicas(&self, live: &Live, replicas: u32) -> Result<(), Failure> {
        let (kind, namespace, name) = live.id();
        let body = json!({
            "apiVersion": kind.api_version(), "kind": kind.name,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": replicas},
        });
        self.patch(kind, &namespace, &name, &body, &PatchParams::apply(HANDOVER).force()).await.map(drop)
    }

    async fn patch(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        body: &Value,
        parameters: &PatchParams,
    ) -> Result<DynamicObject, Failure> {
        let objects = kind.objects(&self.client, namespace);
        let patched = objects.patch(name, parameters, &Patch::Apply(body)).await;
        patched.map_err(|error| Failure::of_call(&format!("apply {}", described(kind, namespace, name)), &error))
    }

    /// Removes an object, if it is still the one that was looked at.
    pub(crate) async fn delete(&self, live: &Live) -> Result<(), Failure> {
        let (kind, namespace, name) = live.id();
        let mut parameters =
            DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
        parameters.preconditions =
            Some(kube::api::Preconditions { uid: live.object.metadata.uid.clone(), resource_version: None });
        match kind.objects(&self.client, &namespace).delete(&name, &parameters).await {
            Ok(_) => tracing::info!(kind = kind.name, namespace, name, "deleted"),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => {
                return Err(Failure::of_call(&format!("delete {}", described(kind, &namespace, &name)), &error));
            }
        }
        self.memory().remove(&live.id());
        Ok(())
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<Id, Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `Deployment a/b`
fn described(kind: Kind, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { format!("{} {name}", kind.name) } else { format!("{} {namespace}/{name}", kind.name) }
}
