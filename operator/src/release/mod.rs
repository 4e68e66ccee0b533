//! What each version of the control plane needs: data, for this version and the two before it.

use semver::Version;
use serde::Deserialize;
use serde_json::Value;
use std::sync::LazyLock;

/// What a version of the control plane needs.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) version: &'static str,
    /// What it may do: see `roles.yaml`.
    pub(crate) roles: Roles,
}

/// What a control plane may do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roles {
    /// In the whole cluster: `PolicyRule`s of a ClusterRole.
    pub(crate) cluster: Vec<Value>,
    /// To its own MeshRevision alone: `PolicyRule`s of the same ClusterRole, without the name.
    pub(crate) revision: Vec<Value>,
    /// In its own namespace: `PolicyRule`s of a Role.
    pub(crate) namespace: Vec<Value>,
}

/// The versions that can be installed, the newest first.
const ROLES: [(&str, &str); 1] = [("0.1.0", include_str!("0.1.0/roles.yaml"))];

static RELEASES: LazyLock<Vec<Release>> = LazyLock::new(|| {
    // Tests read all of them.
    let release = |(version, roles)| Some(Release { version, roles: serde_saphyr::from_str(roles).ok()? });
    ROLES.into_iter().filter_map(release).collect()
});

/// The operator's own version: what an installation runs that names none.
pub(crate) const OWN: &str = env!("CARGO_PKG_VERSION");

/// What a version needs; `None` for versions that this operator does not know.
pub(crate) fn find(version: &str) -> Option<&'static Release> {
    RELEASES.iter().find(|release| release.version == version)
}

/// The versions that can be installed, for people.
pub(crate) fn known() -> String {
    RELEASES.iter().map(|release| release.version).collect::<Vec<_>>().join(", ")
}

/// True for what can be compared with other versions.
pub(crate) fn is_version(text: &str) -> bool {
    Version::parse(text).is_ok()
}

/// True where the first version is older than the second; false where one of them is no version.
pub(crate) fn is_older(version: &str, than: &str) -> bool {
    matches!((Version::parse(version), Version::parse(than)), (Ok(version), Ok(than)) if version < than)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::rbac::v1::PolicyRule;

    #[test]
    fn every_version_can_be_read() {
        assert_eq!(RELEASES.len(), ROLES.len());
        assert_eq!(find(OWN).map(|release| release.version), Some(OWN), "it knows its own version");
        for release in RELEASES.iter() {
            let Roles { cluster, revision, namespace } = &release.roles;
            let rules = [cluster, revision, namespace].into_iter().flatten();
            let rules: Vec<PolicyRule> = rules.map(|rule| serde_json::from_value(rule.clone()).unwrap()).collect();
            for rule in &rules {
                let every = |list: &Option<Vec<String>>| list.iter().flatten().any(|item| item == "*");
                assert!(!rule.verbs.iter().any(|verb| ["*", "escalate", "bind", "impersonate"].contains(&&**verb)));
                assert!(!every(&rule.resources) && !every(&rule.api_groups), "{rule:?}");
            }
        }
    }

    #[test]
    fn the_chart_has_the_same_roles() {
        for (version, roles) in ROLES {
            let path = format!("{}/../charts/tombolo/files/roles-{version}.yaml", env!("CARGO_MANIFEST_DIR"));
            let copy = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(copy == roles, "{path} differs from operator/src/release/{version}/roles.yaml: copy it there");
        }
    }

    #[test]
    fn candidates_are_older_than_releases() {
        assert!(is_older("0.1.0-rc.1", "0.1.0") && is_older("0.9.0", "0.10.0"));
        assert!(!is_older("0.1.0", "0.1.0") && !is_older("", "0.1.0"));
    }
}
