//! One Gateway: what is wanted, what is there, and what is done about it.

use super::{
    apply::{Trouble, Writer},
    build::Deployable,
    made::Made,
    overlay::{self, Overlays},
    seen::{Difference, Seen},
    settings::Place,
    wanted::{Wanted, parameters},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;
use tombolo_api::ObjectKey;
use tombolo_controlplane::ControlPlane;
use tombolo_core::NamespacedName;
use tombolo_translate::gateway_api::Hindrance;

/// What one Gateway at a time is reconciled with.
pub(super) struct Reconciler {
    pub(super) writer: Writer,
    pub(super) plane: ControlPlane,
    pub(super) place: Place,
    /// Whether this replica is the one that writes.
    pub(super) leads: watch::Receiver<bool>,
    pub(super) seen: Mutex<Seen>,
    /// The ConfigMap that holds a Gateway's parameters, where it has any.
    pub(super) parameters: Mutex<BTreeMap<ObjectKey, NamespacedName>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What stands in the Gateway's way.
    pub(super) hindrance: Option<Hindrance>,
    /// Whether it is to be tried again by and by, and if so why.
    pub(super) trouble: Option<Trouble>,
}

impl Reconciler {
    /// Brings what is there to what is wanted.
    pub(super) async fn reconcile(&self, key: &ObjectKey) -> Outcome {
        let (asked, place) = (key.clone(), self.place.clone());
        let Ok(wanted) = self.plane.ask(move |world| Wanted::of(world, &asked, &place)).await else {
            return Outcome::default(); // stopped
        };
        // Noted anew where it has any: so nothing is known of one that is gone.
        lock(&self.parameters).remove(key);
        match wanted {
            Wanted::Stay => Outcome::default(),
            Wanted::Nothing(uid) => Outcome::of(self.prune(&uid, &[]).await),
            Wanted::Deployment(deployable) => self.deploy(key, &deployable).await,
        }
    }

    async fn deploy(&self, key: &ObjectKey, wanted: &Deployable) -> Outcome {
        let overlays = match self.overlays(key, wanted).await {
            Ok(Ok(overlays)) => overlays,
            Ok(Err(why)) => {
                return Outcome { hindrance: Some(Hindrance::Parameters(why.into())), trouble: None };
            }
            Err(trouble) => return Outcome::of(Err(trouble)),
        };
        Outcome::of(self.write(&wanted.gateway.metadata.uid, &wanted.build(&overlays)).await)
    }

    /// What the Gateway's parameters say; the inner error is what is wrong with them.
    async fn overlays(&self, key: &ObjectKey, wanted: &Deployable) -> Result<Result<Overlays, String>, Trouble> {
        let Some(name) = parameters(&wanted.gateway) else { return Ok(Ok(Overlays::new())) };
        let name = NamespacedName::new(key.name.namespace.clone(), name.clone());
        lock(&self.parameters).insert(key.clone(), name.clone());
        let api = Api::<ConfigMap>::namespaced(self.writer.0.clone(), &name.namespace);
        let found = api.get_opt(&name.name).await.map_err(|error| Trouble::of("ConfigMap", &name, error))?;
        let Some(found) = found else {
            return Ok(Err(format!("there is no ConfigMap {name}: create it, or remove parametersRef")));
        };
        let read = overlay::read(found.data.iter().flatten());
        Ok(read.map_err(|why| format!("ConfigMap {name} cannot be used: {why}")))
    }

    async fn write(&self, uid: &str, wanted: &[Made]) -> Result<(), Trouble> {
        for made in wanted {
            let difference = lock(&self.seen).compare(made, uid);
            if difference == Difference::None || !self.leads() {
                continue;
            }
            match difference {
                Difference::Foreign => {
                    return Err(Trouble::Taken { kind: made.kind.name(), name: made.name.clone() });
                }
                Difference::Absent => self.writer.check_free(made).await?,
                Difference::None | Difference::Some => {}
            }
            let object = self.writer.apply(made).await?;
            lock(&self.seen).applied(made, object);
            tracing::info!(kind = made.kind.name(), name = %made.name, "applied for its Gateway");
        }
        self.prune(uid, wanted).await
    }

    /// Deletes what was made for a Gateway and is no longer wanted.
    async fn prune(&self, uid: &str, wanted: &[Made]) -> Result<(), Trouble> {
        let unwanted = lock(&self.seen).unwanted(uid, wanted);
        for (kind, name) in unwanted {
            if !self.leads() {
                break;
            }
            self.writer.delete(kind, &name).await?;
            lock(&self.seen).deleted(kind, &name);
            tracing::info!(kind = kind.name(), %name, "deleted: its Gateway no longer needs it");
        }
        Ok(())
    }

    fn leads(&self) -> bool {
        *self.leads.borrow()
    }
}

impl Outcome {
    fn of(done: Result<(), Trouble>) -> Self {
        let trouble = done.err();
        let hindrance = trouble.as_ref().and_then(|trouble| match trouble {
            // It is not the Gateway's fault, and may be over before anybody reads of it.
            Trouble::Unavailable { .. } => None,
            trouble => Some(Hindrance::Resources(trouble.to_string().into())),
        });
        Self { hindrance, trouble }
    }
}

/// Nothing panics while it holds one of these.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
