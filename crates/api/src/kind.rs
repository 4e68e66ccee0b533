//! The kinds read here: names, groups, versions.

use std::fmt;

/// A kind of object. Ordered, so that whatever is keyed by it has one order everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // each says what it is
pub enum Kind {
    Namespace,
    Service,
    EndpointSlice,
    Secret,
    ConfigMap,
    GatewayClass,
    Gateway,
    HttpRoute,
    ReferenceGrant,
    ServiceEntry,
    WorkloadEntry,
    WorkloadGroup,
    MeshInstallation,
}

/// What Kubernetes needs to know of a kind.
struct Facts {
    kind: &'static str,
    plural: &'static str,
    group: &'static str,
    versions: &'static [&'static str],
    namespaced: bool,
}

const ISTIO: &[&str] = &["v1", "v1beta1", "v1alpha3"];

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Namespace,
        Self::Service,
        Self::EndpointSlice,
        Self::Secret,
        Self::ConfigMap,
        Self::GatewayClass,
        Self::Gateway,
        Self::HttpRoute,
        Self::ReferenceGrant,
        Self::ServiceEntry,
        Self::WorkloadEntry,
        Self::WorkloadGroup,
        Self::MeshInstallation,
    ];

    const fn facts(self) -> Facts {
        let (kind, plural, group, versions, namespaced): (_, _, _, &'static [&'static str], _) = match self {
            Self::Namespace => ("Namespace", "namespaces", "", &["v1"], false),
            Self::Service => ("Service", "services", "", &["v1"], true),
            Self::EndpointSlice => ("EndpointSlice", "endpointslices", "discovery.k8s.io", &["v1"], true),
            Self::Secret => ("Secret", "secrets", "", &["v1"], true),
            Self::ConfigMap => ("ConfigMap", "configmaps", "", &["v1"], true),
            Self::GatewayClass => {
                ("GatewayClass", "gatewayclasses", "gateway.networking.k8s.io", &["v1", "v1beta1"], false)
            }
            Self::Gateway => ("Gateway", "gateways", "gateway.networking.k8s.io", &["v1", "v1beta1"], true),
            Self::HttpRoute => ("HTTPRoute", "httproutes", "gateway.networking.k8s.io", &["v1", "v1beta1"], true),
            Self::ReferenceGrant => {
                ("ReferenceGrant", "referencegrants", "gateway.networking.k8s.io", &["v1", "v1beta1"], true)
            }
            Self::ServiceEntry => ("ServiceEntry", "serviceentries", "networking.istio.io", ISTIO, true),
            Self::WorkloadEntry => ("WorkloadEntry", "workloadentries", "networking.istio.io", ISTIO, true),
            Self::WorkloadGroup => ("WorkloadGroup", "workloadgroups", "networking.istio.io", ISTIO, true),
            Self::MeshInstallation => {
                ("MeshInstallation", "meshinstallations", "mesh.tombolo.dev", &["v1alpha1"], false)
            }
        };
        Facts { kind, plural, group, versions, namespaced }
    }

    /// `HTTPRoute`
    pub const fn name(self) -> &'static str {
        self.facts().kind
    }

    /// `httproutes`
    pub const fn plural(self) -> &'static str {
        self.facts().plural
    }

    /// `gateway.networking.k8s.io`; empty for Kubernetes' core group.
    pub const fn group(self) -> &'static str {
        self.facts().group
    }

    /// The versions read, the preferred one first. All of a kind have one schema.
    pub const fn versions(self) -> &'static [&'static str] {
        self.facts().versions
    }

    /// False for cluster-scoped kinds.
    pub const fn namespaced(self) -> bool {
        self.facts().namespaced
    }

    /// `gateway.networking.k8s.io/v1`, or `v1` for the core group.
    pub fn api_version(self) -> String {
        let facts = self.facts();
        if facts.group.is_empty() {
            facts.versions[0].to_owned()
        } else {
            format!("{}/{}", facts.group, facts.versions[0])
        }
    }

    /// The kind of this group and name, whatever the version.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.group() == group && k.name() == kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
