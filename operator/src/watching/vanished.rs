//! Objects that vanish while nobody sees it: a watch whose place the API server has forgotten lists anew, and what is gone is not in
//! the list.

use kube::{
    ResourceExt as _,
    api::{DynamicObject, ObjectMeta},
    runtime::watcher::Event,
};
use std::collections::HashMap;

/// What one watch has told of: of each object what tells whom it concerns, by uid, as another of the same name is another.
#[derive(Default)]
pub(super) struct Vanished {
    known: HashMap<String, DynamicObject>,
    listed: HashMap<String, DynamicObject>,
}

impl Vanished {
    /// An event, and before the end of a list the deletion of whatever is not in it. Of those only what is in [`outline`] is told.
    ///
    /// What replaced one of the same name is in the list, and so counts for whoever takes the whole list in at its end.
    pub(super) fn told(&mut self, event: Event<DynamicObject>) -> Vec<Event<DynamicObject>> {
        let mut told = Vec::new();
        match &event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => _ = self.listed.insert(uid(object), outline(object)),
            Event::InitDone => {
                let before = std::mem::replace(&mut self.known, std::mem::take(&mut self.listed));
                let gone = before.into_iter().filter(|(uid, _)| !self.known.contains_key(uid));
                told.extend(gone.map(|(_, object)| Event::Delete(object)));
            }
            Event::Apply(object) => _ = self.known.insert(uid(object), outline(object)),
            Event::Delete(object) => _ = self.known.remove(&uid(object)),
        }
        told.push(event);
        told
    }
}

fn uid(object: &DynamicObject) -> String {
    object.uid().unwrap_or_default()
}

/// Which object it is, and whose.
fn outline(object: &DynamicObject) -> DynamicObject {
    let of = &object.metadata;
    let metadata = ObjectMeta {
        name: of.name.clone(),
        namespace: of.namespace.clone(),
        uid: of.uid.clone(),
        owner_references: of.owner_references.clone(),
        ..ObjectMeta::default()
    };
    DynamicObject { types: object.types.clone(), metadata, data: serde_json::Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, uid: &str) -> DynamicObject {
        let owner = json!({"apiVersion": "v1", "kind": "A", "name": "owner", "uid": "1"});
        let metadata = json!({"name": name, "uid": uid, "labels": {"a": "b"}, "ownerReferences": [owner]});
        serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
    }

    /// The names and uids of those that are told to be deleted.
    fn deleted(vanished: &mut Vanished, event: Event<DynamicObject>) -> Vec<String> {
        let mut told = vanished.told(event);
        told.pop().unwrap(); // the event itself
        let name = |event: Event<DynamicObject>| match event {
            Event::Delete(object) => format!("{} {}", object.name_any(), object.uid().unwrap()),
            other => panic!("{other:?}"),
        };
        let mut names: Vec<_> = told.into_iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_not_listed_again_is_told_to_be_deleted_at_the_end_of_the_list() {
        let mut vanished = Vanished::default();
        let mut after = |event| deleted(&mut vanished, event);
        let none = [""; 0];
        assert_eq!(after(Event::Init), none);
        for (name, uid) in [("stays", "1"), ("goes", "2"), ("replaced", "3"), ("seen-to-go", "4")] {
            assert_eq!(after(Event::InitApply(object(name, uid))), none);
        }
        assert_eq!(after(Event::InitDone), none);
        assert_eq!(after(Event::Delete(object("seen-to-go", "4"))), none);
        assert_eq!(after(Event::Apply(object("came", "5"))), none);
        // A list that fails begins again.
        for _ in 0..2 {
            assert_eq!(after(Event::Init), none);
            assert_eq!(after(Event::InitApply(object("stays", "1"))), none);
        }
        assert_eq!(after(Event::InitApply(object("replaced", "6"))), none);
        assert_eq!(after(Event::InitDone), ["came 5", "goes 2", "replaced 3"]);
        assert_eq!(after(Event::Init), none);
        assert_eq!(after(Event::InitDone), ["replaced 6", "stays 1"]);
    }

    #[test]
    fn whose_it_was_is_known() {
        let mut vanished = Vanished::default();
        vanished.told(Event::Apply(object("a", "1")));
        vanished.told(Event::Init);
        let told = vanished.told(Event::InitDone);
        let Event::Delete(gone) = &told[0] else { panic!("{told:?}") };
        assert_eq!(gone.owner_references()[0].name, "owner");
        assert_eq!((&gone.metadata.labels, &gone.data), (&None, &serde_json::Value::Null), "no more is kept");
    }
}
