//! Whose an object is that stands where one of ours is to be. No client.

use super::Wanted;
use crate::names::{MANAGED_BY, MANAGER};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has the owner that ours is to have.
    Ours,
    /// The operator made it, and its owner is no more, or was made anew under the same name.
    Left,
    /// Somebody else's, in words.
    Foreign(String),
}

impl Standing {
    pub(crate) fn of(stored: &ObjectMeta, wanted: &Wanted) -> Self {
        let owners = || stored.owner_references.iter().flatten();
        let owner = &wanted.body["metadata"]["ownerReferences"][0];
        if owners().any(|by| owner["uid"] == *by.uid) {
            return Self::Ours;
        }
        let controller = owners().find(|by| by.controller == Some(true)).filter(|by| !is_same(by, owner));
        if let Some(by) = controller {
            return Self::Foreign(format!("{} {}'s", by.kind, by.name));
        }
        let labels = stored.labels.as_ref();
        let made = labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER);
        if made { Self::Left } else { Self::Foreign("somebody else's".to_owned()) }
    }
}

/// The same but for its uid.
fn is_same(by: &OwnerReference, owner: &Value) -> bool {
    owner["kind"] == *by.kind && owner["name"] == *by.name && owner["apiVersion"] == *by.api_version
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use serde_json::json;

    fn owner(name: &str, uid: &str) -> Value {
        json!({"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": "MeshRevision", "name": name, "uid": uid, "controller": true})
    }

    fn standing(stored: &Value) -> Standing {
        let wanted = json!({"metadata": {"name": "s", "ownerReferences": [owner("a", "uid-1")]}});
        Standing::of(&serde_json::from_value(stored.clone()).unwrap(), &Wanted::new(kinds::SERVICE, wanted))
    }

    #[test]
    fn what_the_operator_did_not_make_is_somebody_elses() {
        let made = json!({MANAGED_BY: MANAGER});
        let foreign = |whose: &str| Standing::Foreign(whose.to_owned());
        assert_eq!(standing(&json!({"ownerReferences": [owner("a", "uid-1")]})), Standing::Ours, "without its labels");
        assert_eq!(standing(&json!({"labels": made})), Standing::Left, "its owner was deleted alone");
        let before = json!({"labels": made, "ownerReferences": [owner("a", "uid-0")]});
        assert_eq!(standing(&before), Standing::Left, "its owner was made anew");
        assert_eq!(standing(&json!({})), foreign("somebody else's"));
        assert_eq!(standing(&json!({"labels": {MANAGED_BY: "Helm"}})), foreign("somebody else's"));
        let other = json!({"labels": made, "ownerReferences": [owner("b", "uid-2")]});
        assert_eq!(standing(&other), foreign("MeshRevision b's"));
    }
}
