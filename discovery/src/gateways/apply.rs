//! Writing what is made for Gateways.

use super::made::{Made, MadeKind};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use tombolo_core::NamespacedName;
use tombolo_kubernetes::retry::Pace;
use tombolo_translate::gateway_api::{MANAGED_BY, MANAGED_LABEL};

/// Who writes.
const MANAGER: &str = "tombolo-writer";

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The API server says no, and will go on saying so.
    #[error("{kind} {name} was refused: {reason}")]
    Refused {
        /// What.
        kind: &'static str,
        /// Which.
        name: NamespacedName,
        /// What the API server says.
        reason: String,
    },
    /// There is another object of the name.
    #[error("{kind} {name} is there already and is not this Gateway's: delete it, or rename the Gateway")]
    Taken {
        /// What.
        kind: &'static str,
        /// Which.
        name: NamespacedName,
    },
    /// Another time it may work.
    #[error("{kind} {name} cannot be written now: {source}")]
    Unavailable {
        /// What.
        kind: &'static str,
        /// Which.
        name: NamespacedName,
        /// Why.
        source: kube::Error,
    },
}

impl Trouble {
    /// How soon it may be worth trying again where nothing is heard of the Gateway or its objects meanwhile.
    pub(super) fn pace(&self) -> Pace {
        match self {
            Self::Refused { .. } | Self::Taken { .. } => Pace::Late,
            Self::Unavailable { .. } => Pace::Soon,
        }
    }

    pub(super) fn of(kind: &'static str, name: &NamespacedName, error: kube::Error) -> Self {
        let name = name.clone();
        match error {
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => {
                Self::Refused { kind, name, reason: status.message.clone() }
            }
            source => Self::Unavailable { kind, name, source },
        }
    }
}

/// Writes, as the writer.
pub(super) struct Writer(pub(super) Client);

impl Writer {
    /// Makes an object, or makes it again what it should be. Returns what became of it.
    pub(super) async fn apply(&self, made: &Made) -> Result<DynamicObject, Trouble> {
        let (api, parameters) = (self.api(made.kind, &made.name), PatchParams::apply(MANAGER).force());
        let applied = api.patch(&made.name.name, &parameters, &Patch::Apply(&made.manifest)).await;
        applied.map_err(|error| Trouble::of(made.kind.name(), &made.name, error))
    }

    /// Makes sure that nobody else's object has the name.
    pub(super) async fn check_free(&self, made: &Made) -> Result<(), Trouble> {
        let found = self.api(made.kind, &made.name).get_metadata_opt(&made.name.name).await;
        match found.map_err(|error| Trouble::of(made.kind.name(), &made.name, error))? {
            None => Ok(()),
            // Ours, and not seen yet.
            Some(found) if found.labels().get(MANAGED_LABEL).is_some_and(|by| by == MANAGED_BY) => Ok(()),
            Some(_) => Err(Trouble::Taken { kind: made.kind.name(), name: made.name.clone() }),
        }
    }

    /// Deletes an object. One that is gone already is deleted.
    pub(super) async fn delete(&self, kind: MadeKind, name: &NamespacedName) -> Result<(), Trouble> {
        match self.api(kind, name).delete(&name.name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => deleted.map(drop).map_err(|error| Trouble::of(kind.name(), name, error)),
        }
    }

    fn api(&self, kind: MadeKind, name: &NamespacedName) -> Api<DynamicObject> {
        Api::namespaced_with(self.0.clone(), &name.namespace, &kind.resource())
    }
}
