//! Who the control plane is, and what it may do.

use super::metadata;
use crate::{
    apply::Wanted,
    kinds::{self, Kind},
    revision::validate::Revision,
};
use serde_json::{Value, json};

/// A ServiceAccount of the revision's own, and the roles that its version needs.
pub(super) fn objects(revision: &Revision) -> Vec<Wanted> {
    let name = revision.objects();
    let roles = &revision.release.roles;
    let own = roles.revision.iter().map(|rule| named(rule, &revision.name));
    let everywhere: Vec<_> = roles.cluster.iter().cloned().chain(own).collect();
    let account = json!({"metadata": metadata(revision, kinds::SERVICE_ACCOUNT, &name)});
    vec![
        Wanted::new(kinds::SERVICE_ACCOUNT, account),
        role(revision, kinds::CLUSTER_ROLE, &everywhere),
        binding(revision, kinds::CLUSTER_ROLE_BINDING, kinds::CLUSTER_ROLE),
        role(revision, kinds::ROLE, &roles.namespace),
        binding(revision, kinds::ROLE_BINDING, kinds::ROLE),
    ]
}

/// A rule for the object of this name alone.
fn named(rule: &Value, name: &str) -> Value {
    let mut rule = rule.clone();
    rule["resourceNames"] = json!([name]);
    rule
}

fn role(revision: &Revision, kind: Kind, rules: &[Value]) -> Wanted {
    Wanted::new(kind, json!({"metadata": metadata(revision, kind, &revision.objects()), "rules": rules}))
}

fn binding(revision: &Revision, kind: Kind, role: Kind) -> Wanted {
    let name = revision.objects();
    let body = json!({
        "metadata": metadata(revision, kind, &name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.name, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": revision.namespace()}],
    });
    Wanted::new(kind, body)
}
