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

    /// As the API server has it. Items of lists do not say what they are, so it is said here.
    fn json(&self) -> Value {
        let mut json = serde_json::to_value(&self.object).unwrap_or_default();
        json["apiVersion"] = self.kind.api_version().into();
        json["kind"] = self.kind.name.into();
        json
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

    /// Makes an object as it is wanted. `live`: what is stored, if it was found among what is ours.
    ///
    /// An object of ours is put right whoever changed it; one of another owner is touched only where nobody else owns the fields.
    pub(crate) async fn apply(&self, wanted: &Wanted, live: Option<&Live>) -> Result<Live, Failure> {
        if let Some(live) = live.filter(|live| self.is_as_applied(wanted, live)) {
            return Ok(live.clone());
        }
        let force = live.is_some() || self.is_ours(wanted).await?;
        let parameters = PatchParams { force, ..PatchParams::apply(MANAGER) };
        let object = self.patch(wanted.kind, wanted.namespace(), wanted.name(), &wanted.body, &parameters).await?;
        let live = Live { kind: wanted.kind, object };
        let memory = Memory { wanted: wanted.hash(), stored: project::project(&live.json(), &wanted.body) };
        self.memory().insert(wanted.id(), memory);
        tracing::info!(kind = wanted.kind.name, namespace = wanted.namespace(), name = wanted.name(), "applied");
        Ok(live)
    }

    /// True where an object was not found by its labels, and is ours all the same: somebody took the labels away.
    async fn is_ours(&self, wanted: &Wanted) -> Result<bool, Failure> {
        let (kind, namespace, name) = wanted.id();
        let found = kind.objects(&self.client, &namespace).get_metadata_opt(&name).await;
        let doing = format!("read {}", described(kind, &namespace, &name));
        let found = found.map_err(|error| Failure::of_call(&doing, &error))?;
        let owner = &wanted.body["metadata"]["ownerReferences"][0]["uid"];
        Ok(found.is_some_and(|found| found.metadata.owner_references.iter().flatten().any(|by| *owner == *by.uid)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    #[test]
    fn an_object_in_a_list_is_the_one_that_was_applied() {
        let wanted = Wanted::new(
            kinds::SERVICE,
            json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {"type": "ClusterIP"}}),
        );
        let live = |body: Value| Live { kind: kinds::SERVICE, object: serde_json::from_value(body).unwrap() };
        let mut listed = wanted.body.clone();
        listed.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
        let project = |live: &Live| project::project(&live.json(), &wanted.body);
        assert_eq!(project(&live(wanted.body.clone())), project(&live(listed)));
    }
}
