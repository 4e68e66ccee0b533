//! The objects that were made for Gateways, as they were last seen.

use super::{
    build::HASH,
    drift::{covers, project},
    made::{Made, MadeKind},
};
use kube::{api::DynamicObject, runtime::watcher::Event};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tombolo_core::NamespacedName;

type Id = (MadeKind, NamespacedName);

/// An object that carries our label.
#[derive(Clone, Debug)]
struct Live {
    /// The Gateway that owns it: name and UID.
    owner: Option<(Arc<str>, Arc<str>)>,
    /// What was applied last, by its hash.
    hash: String,
    /// All but status and who wrote what, as text: it is read seldom.
    content: Box<str>,
}

/// The objects that were made for Gateways.
#[derive(Debug, Default)]
pub(super) struct Seen {
    live: HashMap<Id, Live>,
    /// What the API server made of what was applied, where it writes that otherwise (`1000m` becomes `1`): the hash of what was
    /// applied, and what became of its fields.
    settled: HashMap<Id, (String, Value)>,
    listing: HashMap<MadeKind, HashSet<NamespacedName>>,
    listed: HashSet<MadeKind>,
}

impl Seen {
    /// Takes in what a watch says. Returns the Gateways that this is about.
    pub(super) fn take(&mut self, kind: MadeKind, event: Event<DynamicObject>) -> Vec<NamespacedName> {
        match event {
            Event::Init => drop(self.listing.insert(kind, HashSet::new())),
            Event::InitApply(object) => {
                if let Some(listing) = self.listing.get_mut(&kind) {
                    listing.insert(name(&object));
                }
                return self.see(kind, object).into_iter().collect();
            }
            Event::InitDone => {
                self.listed.insert(kind);
                let listing = self.listing.remove(&kind).unwrap_or_default();
                let gone = self.live.keys().filter(|(k, name)| *k == kind && !listing.contains(name)).cloned();
                let gone: Vec<Id> = gone.collect();
                return gone.into_iter().filter_map(|id| self.forget(&id)).collect();
            }
            Event::Apply(object) => return self.see(kind, object).into_iter().collect(),
            Event::Delete(object) => return self.forget(&(kind, name(&object))).into_iter().collect(),
        }
        Vec::new()
    }

    /// True once every kind was listed.
    pub(super) fn is_complete(&self) -> bool {
        self.listed.len() == MadeKind::ALL.len()
    }

    /// An object is as this now. Returns its Gateway, where something about it is new.
    fn see(&mut self, kind: MadeKind, object: DynamicObject) -> Option<NamespacedName> {
        let id = (kind, name(&object));
        let live = Live::of(object);
        let owner = live.owner.as_ref().map(|(owner, _)| NamespacedName::new(id.1.namespace.clone(), owner.clone()));
        let before = self.live.insert(id.clone(), live);
        let same = before.is_some_and(|before| before.content == self.live[&id].content);
        owner.filter(|_| !same)
    }

    /// What was just applied has become this.
    pub(super) fn applied(&mut self, made: &Made, object: DynamicObject) {
        let id = (made.kind, made.name.clone());
        self.see(made.kind, object);
        let live = &self.live[&id];
        if live.covers(made) {
            self.settled.remove(&id);
        } else {
            self.settled.insert(id, (made.hash.clone(), live.project(made)));
        }
    }

    /// An object is gone. Returns its Gateway.
    fn forget(&mut self, id: &Id) -> Option<NamespacedName> {
        self.settled.remove(id);
        let (owner, _) = self.live.remove(id)?.owner?;
        Some(NamespacedName::new(id.1.namespace.clone(), owner))
    }

    /// An object was just deleted.
    pub(super) fn deleted(&mut self, kind: MadeKind, name: &NamespacedName) {
        self.forget(&(kind, name.clone()));
    }

    /// How an object stands to what is wanted of it.
    pub(super) fn compare(&self, made: &Made, owner: &str) -> Difference {
        let id = (made.kind, made.name.clone());
        let Some(live) = self.live.get(&id) else { return Difference::Absent };
        if live.owner.as_ref().is_none_or(|(_, uid)| &**uid != owner) {
            return Difference::Foreign;
        }
        let settled = self.settled.get(&id).filter(|(hash, _)| *hash == made.hash);
        let settled = || settled.is_some_and(|(_, fields)| covers(&live.value(), fields));
        if live.hash == made.hash && (live.covers(made) || settled()) { Difference::None } else { Difference::Some }
    }

    /// What was made for a Gateway, by its UID, and is not among these.
    pub(super) fn unwanted(&self, owner: &str, wanted: &[Made]) -> Vec<(MadeKind, NamespacedName)> {
        let is_wanted = |(kind, name): &Id| wanted.iter().any(|made| made.kind == *kind && made.name == *name);
        let owned = self.live.iter().filter(|(_, live)| live.owner.as_ref().is_some_and(|(_, uid)| &**uid == owner));
        owned.map(|(id, _)| id).filter(|id| !is_wanted(id)).cloned().collect()
    }
}

/// How an object stands to what is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// It is as wanted.
    None,
    /// It is otherwise.
    Some,
    /// None with our label is there.
    Absent,
    /// It belongs to another Gateway, maybe to one of the same name that was deleted.
    Foreign,
}

impl Live {
    fn of(object: DynamicObject) -> Self {
        let DynamicObject { metadata, mut data, .. } = object;
        let owner = metadata.owner_references.iter().flatten().find(|owner| owner.kind == "Gateway");
        let owner = owner.map(|owner| (owner.name.as_str().into(), owner.uid.as_str().into()));
        let annotations = metadata.annotations.unwrap_or_default();
        let hash = annotations.get(HASH).cloned().unwrap_or_default();
        if let Some(fields) = data.as_object_mut() {
            fields.remove("status");
        }
        data["metadata"] = serde_json::json!({"name": metadata.name, "namespace": metadata.namespace,
            "labels": metadata.labels, "annotations": annotations, "ownerReferences": metadata.owner_references});
        // The revision that the Deployment controller counts is its own.
        if let Some(annotations) = data["metadata"]["annotations"].as_object_mut() {
            annotations.remove("deployment.kubernetes.io/revision");
        }
        Self { owner, hash, content: data.to_string().into() }
    }

    fn covers(&self, made: &Made) -> bool {
        covers(&self.value(), &fields(made))
    }

    /// What it has of what was applied.
    fn project(&self, made: &Made) -> Value {
        project(&self.value(), &fields(made))
    }

    fn value(&self) -> Value {
        serde_json::from_str(&self.content).unwrap_or_default()
    }
}

/// What is wanted of an object, without what every object of the kind has.
fn fields(made: &Made) -> Value {
    let mut wanted = made.manifest.clone();
    if let Some(fields) = wanted.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    wanted
}

fn name(object: &DynamicObject) -> NamespacedName {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    NamespacedName { namespace: text(&object.metadata.namespace), name: text(&object.metadata.name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn made(replicas: &str) -> Made {
        let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "edge-tombolo",
            "namespace": "infra", "annotations": {HASH: replicas}}, "spec": {"cpu": replicas}});
        let name = NamespacedName::new("infra", "edge-tombolo");
        Made { kind: MadeKind::Deployment, name, manifest, hash: replicas.to_owned() }
    }

    fn live(made: &Made, uid: &str, change: &Value) -> DynamicObject {
        let mut object = made.manifest.clone();
        object["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "edge", "uid": uid}]);
        super::super::overlay::merge(&mut object, change);
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_object_is_applied_again_where_it_or_what_is_wanted_is_otherwise() {
        let (mut seen, one) = (Seen::default(), made("1"));
        assert_eq!(seen.compare(&one, "u"), Difference::Absent);
        let gateways = seen.take(one.kind, Event::Apply(live(&one, "u", &json!({"status": {"replicas": 1}}))));
        assert_eq!(gateways, [NamespacedName::new("infra", "edge")]);
        assert_eq!(seen.compare(&one, "u"), Difference::None);
        assert_eq!(seen.compare(&made("2"), "u"), Difference::Some, "something else is wanted");
        assert_eq!(seen.compare(&one, "v"), Difference::Foreign);
        let status = live(&one, "u", &json!({"status": {"replicas": 2}}));
        assert!(seen.take(one.kind, Event::Apply(status)).is_empty(), "a status is no news");
        let drifted = live(&one, "u", &json!({"spec": {"cpu": "9"}}));
        assert_eq!(seen.take(one.kind, Event::Apply(drifted)).len(), 1);
        assert_eq!(seen.compare(&one, "u"), Difference::Some);
    }

    #[test]
    fn what_the_api_server_writes_otherwise_is_not_applied_for_ever() {
        let (mut seen, wanted) = (Seen::default(), made("1000m"));
        seen.applied(&wanted, live(&wanted, "u", &json!({"spec": {"cpu": "1"}})));
        assert_eq!(seen.compare(&wanted, "u"), Difference::None);
        let others = json!({"spec": {"cpu": "1", "replicas": 3}, "metadata": {"labels": {"theirs": "1"}}});
        seen.take(wanted.kind, Event::Apply(live(&wanted, "u", &others)));
        assert_eq!(seen.compare(&wanted, "u"), Difference::None, "what is not ours is left alone");
        seen.take(wanted.kind, Event::Apply(live(&wanted, "u", &json!({"spec": {"cpu": "2"}}))));
        assert_eq!(seen.compare(&wanted, "u"), Difference::Some, "that is somebody else's change");
    }

    #[test]
    fn what_is_no_longer_wanted_is_found_by_its_owner() {
        let (mut seen, one) = (Seen::default(), made("1"));
        seen.take(one.kind, Event::Init);
        seen.take(one.kind, Event::InitApply(live(&one, "u", &json!({}))));
        seen.take(one.kind, Event::InitDone);
        assert_eq!(seen.unwanted("u", &[]), [(one.kind, one.name.clone())]);
        assert!(seen.unwanted("v", &[]).is_empty() && seen.unwanted("u", std::slice::from_ref(&one)).is_empty());
        seen.take(one.kind, Event::Init);
        assert_eq!(seen.take(one.kind, Event::InitDone), [NamespacedName::new("infra", "edge")], "gone meanwhile");
        assert_eq!(seen.compare(&one, "u"), Difference::Absent);
    }
}
