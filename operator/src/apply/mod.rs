//! What there is to be, and what there is: putting the one in place of the other.

mod prune;
mod standing;

pub(crate) use prune::unwanted;
pub(crate) use standing::Standing;

use crate::{
    failure::{Failure, Retry},
    kinds::Kind,
    names::{HANDOVER, MANAGER},
};
use kube::{
    Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PropagationPolicy},
};
use serde_json::{Value, json};

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
}

impl Live {
    pub(crate) fn id(&self) -> Id {
        let metadata = &self.object.metadata;
        (self.kind, metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
    }

    /// True where one of its owners has this uid.
    pub(crate) fn is_owned_by(&self, uid: &str) -> bool {
        self.object.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
    }
}

/// Writes what differs, as the operator.
pub(crate) struct Applier {
    client: Client,
    applier: tombolo_kubernetes::apply::Applier,
}

impl Applier {
    pub(crate) fn new(client: Client) -> Self {
        Self { applier: tombolo_kubernetes::apply::Applier::new(client.clone(), MANAGER), client }
    }

    /// Makes an object as it is wanted. `live`: what is stored, if it was found among what is ours.
    ///
    /// An object of ours is put right whoever changed it; one that is somebody else's is left alone.
    pub(crate) async fn apply(&self, wanted: &Wanted, live: Option<&Live>) -> Result<Live, Failure> {
        let (kind, namespace, name) = wanted.id();
        let force = live.is_some() || self.is_ours(wanted).await?;
        let stored = self.applier.apply(&kind.resource(), &wanted.body, live.map(|live| &live.object), force).await;
        let doing = || format!("apply {}", described(kind, &namespace, &name));
        stored.map(|object| Live { kind, object }).map_err(|error| Failure::of_call(&doing(), &error))
    }

    /// True where an object was not found by its labels, and is ours all the same: somebody took the labels away. False where there
    /// is none, or one that nobody has any more.
    async fn is_ours(&self, wanted: &Wanted) -> Result<bool, Failure> {
        let (kind, namespace, name) = wanted.id();
        let found = kind.objects(&self.client, &namespace).get_metadata_opt(&name).await;
        let described = described(kind, &namespace, &name);
        let found = found.map_err(|error| Failure::of_call(&format!("read {described}"), &error))?;
        match found.map(|found| Standing::of(&found.metadata, wanted)) {
            Some(Standing::Ours) => Ok(true),
            None | Some(Standing::Left) => Ok(false),
            Some(Standing::Foreign(whose)) => {
                let message = format!("{described} is {whose} and left alone: delete or rename it");
                Err(Failure { reason: "ForeignObject", message, retry: Retry::Later })
            }
        }
    }

    /// Gives a count of replicas to a manager of its own: it stays as it is when the operator no longer states one.
    pub(crate) async fn hand_over_replicas(&self, live: &Live, replicas: u32) -> Result<(), Failure> {
        let (kind, namespace, name) = live.id();
        let body = json!({
            "apiVersion": kind.api_version(), "kind": kind.name,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": replicas},
        });
        let (objects, parameters) = (kind.objects(&self.client, &namespace), PatchParams::apply(HANDOVER).force());
        let handed = objects.patch(&name, &parameters, &Patch::Apply(body)).await;
        let doing = || format!("hand over the replicas of {}", described(kind, &namespace, &name));
        handed.map(drop).map_err(|error| Failure::of_call(&doing(), &error))
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
        self.applier.forget(&kind.resource(), &namespace, &name);
        Ok(())
    }
}

/// `Deployment a/b`
fn described(kind: Kind, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { format!("{} {name}", kind.name) } else { format!("{} {namespace}/{name}", kind.name) }
}
