//! The kinds that are read and written, as the API server calls them.

use kube::{
    Api, Client,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
};

/// A kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Kind {
    group: &'static str,
    version: &'static str,
    pub(crate) name: &'static str,
    plural: &'static str,
    pub(crate) namespaced: bool,
}

const fn namespaced(group: &'static str, version: &'static str, name: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, name, plural, namespaced: true }
}

const fn cluster(group: &'static str, version: &'static str, name: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, name, plural, namespaced: false }
}

const MESH: &str = tombolo_api::mesh::GROUP;
const GATEWAY: &str = "gateway.networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

pub(crate) const INSTALLATION: Kind = cluster(MESH, "v1alpha1", "MeshInstallation", "meshinstallations");
pub(crate) const REVISION: Kind = cluster(MESH, "v1alpha1", "MeshRevision", "meshrevisions");
pub(crate) const TAG: Kind = cluster(MESH, "v1alpha1", "MeshRevisionTag", "meshrevisiontags");

pub(crate) const GATEWAY_CLASS: Kind = cluster(GATEWAY, "v1", "GatewayClass", "gatewayclasses");
pub(crate) const DEFINITION: Kind =
    cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");

pub(crate) const CLUSTER_ROLE: Kind = cluster(RBAC, "v1", "ClusterRole", "clusterroles");
pub(crate) const CLUSTER_ROLE_BINDING: Kind = cluster(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings");
pub(crate) const ROLE: Kind = namespaced(RBAC, "v1", "Role", "roles");
pub(crate) const ROLE_BINDING: Kind = namespaced(RBAC, "v1", "RoleBinding", "rolebindings");
pub(crate) const SERVICE_ACCOUNT: Kind = namespaced("", "v1", "ServiceAccount", "serviceaccounts");
pub(crate) const CONFIG_MAP: Kind = namespaced("", "v1", "ConfigMap", "configmaps");
pub(crate) const SECRET: Kind = namespaced("", "v1", "Secret", "secrets");
pub(crate) const SERVICE: Kind = namespaced("", "v1", "Service", "services");
pub(crate) const DEPLOYMENT: Kind = namespaced("apps", "v1", "Deployment", "deployments");
pub(crate) const DISRUPTION_BUDGET: Kind = namespaced("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
pub(crate) const AUTOSCALER: Kind =
    namespaced("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
pub(crate) const NETWORK_POLICY: Kind = namespaced("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");

pub(crate) const VALIDATING_WEBHOOK: Kind =
    cluster("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations");

/// What a revision is made of.
pub(crate) const OF_REVISION: [Kind; 11] = [
    SERVICE_ACCOUNT,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    ROLE,
    ROLE_BINDING,
    CONFIG_MAP,
    SERVICE,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    AUTOSCALER,
    NETWORK_POLICY,
];

impl Kind {
    /// `apps/v1`
    pub(crate) fn api_version(self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `gateways`
    pub(crate) const fn plural(self) -> &'static str {
        self.plural
    }

    /// The name of its CustomResourceDefinition, if it has one.
    pub(crate) fn definition(self) -> Option<String> {
        [MESH, GATEWAY].contains(&self.group).then(|| format!("{}.{}", self.plural, self.group))
    }

    /// How kube knows it.
    pub(crate) fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.name), self.plural)
    }

    /// Its objects, in a namespace if it has such.
    pub(crate) fn objects(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        if self.namespaced {
            Api::namespaced_with(client.clone(), namespace, &self.resource())
        } else {
            Api::all_with(client.clone(), &self.resource())
        }
    }
}
