//! What is no longer wanted. No client.

use super::{Id, Live, Wanted};
use std::collections::HashSet;

/// The objects that an owner made and that are no longer wanted: nothing that it does not own.
pub(crate) fn unwanted<'a>(wanted: &[Wanted], live: &'a [Live], owner: &str) -> Vec<&'a Live> {
    let wanted: HashSet<Id> = wanted.iter().map(Wanted::id).collect();
    live.iter().filter(|live| live.is_owned_by(owner) && !wanted.contains(&live.id())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use serde_json::json;

    fn live(name: &str, owner: &str) -> Live {
        let owners = json!([{"apiVersion": "a/v1", "kind": "A", "name": "a", "uid": owner}]);
        let object = json!({"metadata": {"name": name, "namespace": "n", "ownerReferences": owners}});
        Live { kind: kinds::SERVICE, object: serde_json::from_value(object).unwrap() }
    }

    #[test]
    fn only_what_is_ours_and_not_wanted_goes() {
        let wanted = [Wanted::new(kinds::SERVICE, json!({"metadata": {"name": "kept", "namespace": "n"}}))];
        let live = [live("kept", "us"), live("old", "us"), live("old", "them")];
        let gone: Vec<_> = unwanted(&wanted, &live, "us").into_iter().map(Live::id).collect();
        assert_eq!(gone, [(kinds::SERVICE, "n".to_owned(), "old".to_owned())]);
    }
}
