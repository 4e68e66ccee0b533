//! GatewayClass: whether a Gateway is ours to serve.

use super::placement::is_provisioned;
use crate::{
    engine::{Built, Emits, Relation, Unit, View},
    status::{Condition, Status},
};
use tombolo_api::{
    Kind, ObjectKey,
    gateway::{CONTROLLER, GatewayClass},
};
use tombolo_core::NamespacedName;

/// The class that needs no GatewayClass object.
const DEFAULT_CLASS: &str = "tombolo";

/// What is claimed of the Gateway API beyond its core, in order: published in the status of our classes (GEP-2162).
const FEATURES: &[&str] = &[
    "Gateway",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayPort8080",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteCORS",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ReferenceGrant",
];

/// What is claimed besides where gateways are deployed into a cluster.
const PROVISIONED: &[&str] = &["GatewayAddressEmpty", "GatewayInfrastructure", "GatewayStaticAddresses"];

/// What is claimed besides where routes are stored as the experimental channel defines them.
const EXPERIMENTAL: &[&str] = &["HTTPRouteDestinationPortMatching", "HTTPRouteRetry"];

/// What is claimed, in order.
fn features(view: &View<'_>) -> Vec<&'static str> {
    let provisioned = if is_provisioned(view) { PROVISIONED } else { &[] };
    let experimental = if view.count(Relation::StandardChannel) == 0 { EXPERIMENTAL } else { &[] };
    let mut all: Vec<_> = FEATURES.iter().chain(provisioned).chain(experimental).copied().collect();
    all.sort_unstable();
    all
}

/// Whether a GatewayClass is ours, and serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(pub ObjectKey);

impl Unit for Class {
    type Output = bool;
    const RANK: u8 = 1;

    fn build(&self, view: &View<'_>) -> Option<Built<bool>> {
        let class = view.object::<GatewayClass>(&self.0)?;
        if &*class.controller_name != CONTROLLER {
            return Some(Built::from(false));
        }
        let generation = class.metadata.generation;
        let accepted = match &class.parameters_ref {
            None => Condition::yes("Accepted", "Accepted", "", generation),
            Some(_) => {
                Condition::no("Accepted", "InvalidParameters", "parametersRef is not supported: remove it", generation)
            }
        };
        let serves = accepted.status;
        let mut emits = Emits::default();
        let status = Status::GatewayClass { conditions: vec![accepted], supported_features: features(view) };
        emits.status(self.0.clone(), status);
        Some(Built { output: serves, emits })
    }
}

/// Whether the Gateways of a class are ours. A class named `tombolo` is, also where no GatewayClass says so.
pub(super) fn is_ours(view: &View<'_>, gateway: &ObjectKey, class: &str) -> bool {
    let key = ObjectKey { source: gateway.source, kind: Kind::GatewayClass, name: NamespacedName::new("", class) };
    view.unit(&Class(key)).copied().unwrap_or(class == DEFAULT_CLASS)
}

#[cfg(test)]
mod tests {
    use crate::{
        engine::{Fact, Relation},
        testing::{World, world},
    };

    fn claims(world: &World, feature: &str) -> bool {
        let statuses = world.engine.statuses();
        let status = serde_json::to_value(statuses.values().next().unwrap()).unwrap();
        status["supportedFeatures"].as_array().unwrap().iter().any(|claimed| claimed["name"] == feature)
    }

    #[test]
    fn what_is_experimental_is_not_claimed_where_routes_are_stored_without_it() {
        let mut world = world(
            "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: tombolo}, \
             spec: {controllerName: mesh.tombolo.dev/gateway-controller}}",
        );
        let experimental = ["HTTPRouteDestinationPortMatching", "HTTPRouteRetry"];
        assert!(experimental.iter().all(|feature| claims(&world, feature)));
        world.insert(vec![(Relation::StandardChannel, Fact::Unit)]);
        assert!(!experimental.iter().any(|feature| claims(&world, feature)));
        assert!(claims(&world, "HTTPRouteParentRefPort"));
        world.remove(vec![(Relation::StandardChannel, Fact::Unit)]);
        assert!(experimental.iter().all(|feature| claims(&world, feature)));
    }
}
