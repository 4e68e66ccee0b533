//! The kinds of objects that are made for a Gateway.

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;
use tombolo_core::NamespacedName;

/// A kind of object that is made for a Gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum MadeKind {
    /// Whom the proxies run as. First: pods need it.
    ServiceAccount,
    /// How they are reached.
    Service,
    /// The proxies.
    Deployment,
    /// How many there are; only where parameters ask for it.
    HorizontalPodAutoscaler,
    /// How many may be missing; only where parameters ask for it.
    PodDisruptionBudget,
}

impl MadeKind {
    /// All, in the order in which they are made.
    pub(crate) const ALL: [Self; 5] = [
        Self::ServiceAccount,
        Self::Service,
        Self::Deployment,
        Self::HorizontalPodAutoscaler,
        Self::PodDisruptionBudget,
    ];

    /// As Kubernetes calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::Service => "Service",
            Self::Deployment => "Deployment",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
        }
    }

    /// The key of a parameters ConfigMap that changes it, as Istio calls it.
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceAccount",
            Self::Service => "service",
            Self::Deployment => "deployment",
            Self::HorizontalPodAutoscaler => "horizontalPodAutoscaler",
            Self::PodDisruptionBudget => "podDisruptionBudget",
        }
    }

    /// How the API server is asked for it.
    pub(crate) fn resource(self) -> ApiResource {
        let (group, version, plural) = match self {
            Self::ServiceAccount => ("", "v1", "serviceaccounts"),
            Self::Service => ("", "v1", "services"),
            Self::Deployment => ("apps", "v1", "deployments"),
            Self::HorizontalPodAutoscaler => ("autoscaling", "v2", "horizontalpodautoscalers"),
            Self::PodDisruptionBudget => ("policy", "v1", "poddisruptionbudgets"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, self.name()), plural)
    }
}

/// An object to be made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    /// Its kind.
    pub(crate) kind: MadeKind,
    /// Its namespace and name.
    pub(crate) name: NamespacedName,
    /// The fields that are ours, in whole: what is sent to be applied.
    pub(crate) manifest: Value,
    /// Tells manifests apart; part of the manifest, as an annotation.
    pub(crate) hash: String,
}
