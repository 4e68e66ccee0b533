//! What is wanted for a Gateway, from all that is known.

use super::{
    build::Deployable,
    settings::{Place, Settings},
};
use std::{collections::BTreeMap, sync::Arc};
use tombolo_api::{
    Kind, ObjectKey,
    gateway::{CONTROLLER, Gateway, GatewayClass},
};
use tombolo_controlplane::World;
use tombolo_core::NamespacedName;
use tombolo_translate::gateway_api::{self, Deployed};

/// What is wanted for a Gateway.
#[derive(Debug)]
pub(super) enum Wanted {
    /// That all stays as it is: it is going, or cannot be served as it stands, or nobody knows whose it is.
    Stay,
    /// Nothing: somebody else deploys it. What was made for this UID goes.
    Nothing(Arc<str>),
    /// Its objects.
    Deployment(Box<Deployable>),
}

impl Wanted {
    /// What is wanted for a Gateway.
    pub(super) fn of(world: &World, key: &ObjectKey, place: &Place) -> Self {
        let Some(gateway) = world.snapshot().get::<Gateway>(key) else { return Self::Stay };
        if gateway.metadata.deletion_timestamp.is_some() {
            return Self::Stay; // the garbage collector takes the rest
        }
        let uid = gateway.metadata.uid.clone();
        let Some(Some(row)) = world.engine().output(&gateway_api::Gateway(key.clone())) else {
            return if is_foreign(world, key, &gateway.gateway_class_name) { Self::Nothing(uid) } else { Self::Stay };
        };
        if !matches!(Deployed::of(gateway), Deployed::ByUs(_)) {
            return Self::Nothing(uid);
        }
        let ports: BTreeMap<_, _> = row
            .listeners
            .iter()
            .filter(|listener| listener.accepted())
            .map(|listener| (listener.port, listener.protocol.clone()))
            .collect();
        // Parameters that could not be used may be usable now.
        let refused = row
            .refused
            .as_ref()
            .is_some_and(|refused| refused.reason != "InvalidParameters" || parameters(gateway).is_none());
        if refused || ports.is_empty() {
            return Self::Stay;
        }
        let settings = Settings::of(world.installation().map(|object| &object.spec), place);
        Self::Deployment(Box::new(Deployable { gateway: gateway.clone(), ports, settings }))
    }
}

/// The ConfigMap of a Gateway's parameters.
pub(super) fn parameters(gateway: &Gateway) -> Option<&Arc<str>> {
    let reference = gateway.infrastructure.as_ref()?.parameters_ref.as_ref()?;
    (reference.group.is_empty() && &*reference.kind == "ConfigMap").then_some(&reference.name)
}

/// True only where a class is there and says so: one that was deleted may come back, and its gateways serve until then.
fn is_foreign(world: &World, gateway: &ObjectKey, class: &str) -> bool {
    let key = ObjectKey { source: gateway.source, kind: Kind::GatewayClass, name: NamespacedName::new("", class) };
    world.snapshot().get::<GatewayClass>(&key).is_some_and(|class| &*class.controller_name != CONTROLLER)
}
