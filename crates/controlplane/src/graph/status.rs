//! Statuses with the times that their conditions last changed.

use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::SystemTime,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tombolo_api::ObjectKey;
use tombolo_translate::status::{Condition, Status};

/// The status of every object that has one.
#[derive(Default)]
pub(super) struct StatusTable {
    statuses: BTreeMap<ObjectKey, TimedStatus>,
    /// Conditions that translation knows nothing of, by who found them.
    observed: BTreeMap<ObjectKey, BTreeMap<&'static str, Vec<Condition>>>,
}

/// A status, and since when each of its conditions has been what it is.
#[derive(Clone, Debug)]
pub struct TimedStatus {
    /// As translation has it.
    translated: Arc<Status>,
    /// What was observed included.
    status: Arc<Status>,
    /// By condition, in the order in which they are written.
    since: Box<[SystemTime]>,
}

impl StatusTable {
    pub(super) fn take(&mut self, changed: BTreeMap<ObjectKey, Option<Arc<Status>>>, now: SystemTime) {
        for (key, status) in changed {
            match status {
                Some(status) => {
                    let old = self.statuses.remove(&key);
                    let observed = self.observed(&key);
                    self.statuses.insert(key, TimedStatus::after(old.as_ref(), status, &observed, now));
                }
                None => drop(self.statuses.remove(&key)),
            }
        }
    }

    /// Takes in all that one part observes of an object now. True where that is something else than before, and the object has a status.
    pub(super) fn observe(
        &mut self,
        by: &'static str,
        key: &ObjectKey,
        conditions: Vec<Condition>,
        now: SystemTime,
    ) -> bool {
        let known = self.observed.get(key).and_then(|all| all.get(by));
        if known.map_or(&[][..], |known| known) == conditions {
            return false;
        }
        let all = self.observed.entry(key.clone()).or_default();
        match conditions.is_empty() {
            true => drop(all.remove(by)),
            false => drop(all.insert(by, conditions)),
        }
        if all.is_empty() {
            self.observed.remove(key);
        }
        let observed = self.observed(key);
        let changed = self.statuses.get_mut(key).map(|timed| {
            *timed = TimedStatus::after(Some(timed), timed.translated.clone(), &observed, now);
        });
        changed.is_some()
    }

    /// All that is observed of an object, whoever found it.
    fn observed(&self, key: &ObjectKey) -> Vec<Condition> {
        self.observed.get(key).into_iter().flat_map(BTreeMap::values).flatten().cloned().collect()
    }

    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.statuses.contains_key(key)
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&TimedStatus> {
        self.statuses.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &TimedStatus)> {
        self.statuses.iter()
    }
}

impl TimedStatus {
    /// The status after another: conditions that hold as before keep their time.
    fn after(old: Option<&Self>, translated: Arc<Status>, observed: &[Condition], now: SystemTime) -> Self {
        let status = with_observed(&translated, observed);
        let known: HashMap<_, _> = old.into_iter().flat_map(Self::times).collect();
        let kept = |section: &str, condition: &Condition| {
            let known = known.get(&(section.to_owned(), condition.kind));
            known.filter(|(was, _)| *was == condition.status).map_or(now, |(_, time)| *time)
        };
        let since = sections(&status)
            .iter()
            .flat_map(|(section, conditions)| conditions.iter().map(|condition| kept(section, condition)))
            .collect();
        Self { translated, status, since }
    }

    /// By section and kind of condition: whether it holds, and since when. Sections: the empty text for the object's own conditions, a
    /// listener's name, or a parent reference in JSON.
    fn times(&self) -> impl Iterator<Item = ((String, &'static str), (bool, SystemTime))> {
        let conditions = sections(&self.status).into_iter().flat_map(|(section, conditions)| {
            conditions.iter().map(move |condition| ((section.clone(), condition.kind), condition.status))
        });
        conditions.zip(&self.since).map(|((key, holds), time)| (key, (holds, *time)))
    }

    /// The status without times.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// As Kubernetes shows it, `lastTransitionTime` included.
    pub fn to_json(&self) -> Value {
        let mut value = serde_json::to_value(&*self.status).unwrap_or_default();
        let mut lists = Vec::new();
        collect(&mut value, &mut lists);
        // Both walks go through the conditions in the order in which they are written.
        for (shown, time) in lists.into_iter().flatten().zip(&self.since) {
            shown["lastTransitionTime"] = json!(rfc3339(*time));
        }
        value
    }
}

/// Observed conditions come after the others. Kinds of status that are more than conditions have none.
fn with_observed(translated: &Arc<Status>, observed: &[Condition]) -> Arc<Status> {
    match &**translated {
        Status::Conditions { conditions } if !observed.is_empty() => {
            Arc::new(Status::Conditions { conditions: conditions.iter().chain(observed).cloned().collect() })
        }
        _ => translated.clone(),
    }
}

fn rfc3339(time: SystemTime) -> String {
    let whole = OffsetDateTime::from(time).replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    whole.format(&Rfc3339).unwrap_or_default()
}

/// The lists of conditions of a status, each with a name that stays when others come and go.
fn sections(status: &Status) -> Vec<(String, &[Condition])> {
    match status {
        Status::Conditions { conditions }
        | Status::ServiceEntry { conditions, .. }
        | Status::GatewayClass { conditions, .. } => {
            vec![(String::new(), conditions)]
        }
        Status::Gateway(gateway) => {
            let listeners = gateway.listeners.iter().map(|l| (l.name.to_string(), &*l.conditions));
            std::iter::once((String::new(), &*gateway.conditions)).chain(listeners).collect()
        }
        Status::Route { parents } => {
            let section = |value: Value| value["parentRef"].to_string();
            parents.iter().map(|p| (serde_json::to_value(p).map(section).unwrap_or_default(), &*p.conditions)).collect()
        }
    }
}

/// The lists under `conditions`: an object's own before those of its listeners.
fn collect<'a>(value: &'a mut Value, lists: &mut Vec<&'a mut Vec<Value>>) {
    match value {
        Value::Object(map) => {
            let mut rest = Vec::new();
            for (key, value) in map {
                if key == "conditions" {
                    lists.extend(value.as_array_mut());
                } else {
                    rest.push(value);
                }
            }
            rest.into_iter().for_each(|value| collect(value, lists));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| collect(item, lists)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tombolo_api::Kind;
    use tombolo_core::{NamespacedName, SourceId};
    use tombolo_translate::status::{GatewayStatus, ListenerStatus};

    fn status(own: bool, listener: bool) -> Option<Arc<Status>> {
        let condition = |kind, holds| match holds {
            true => Condition::yes(kind, "Yes", "", 1),
            false => Condition::no(kind, "No", "why", 1),
        };
        let listener = ListenerStatus {
            name: "web".into(),
            supported_kinds: Vec::new(),
            attached_routes: 0,
            conditions: vec![condition("Programmed", listener)],
        };
        let conditions = vec![condition("Programmed", own)];
        Some(Arc::new(Status::Gateway(GatewayStatus { conditions, listeners: vec![listener], addresses: None })))
    }

    #[test]
    fn a_condition_keeps_its_time_while_it_holds_as_before() {
        let name = NamespacedName::new("shop", "front");
        let key = ObjectKey { source: SourceId::new("here"), kind: Kind::Gateway, name };
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut table = StatusTable::default();
        for (own, listener, now) in [(true, true, 10), (true, false, 20), (true, false, 30)] {
            table.take([(key.clone(), status(own, listener))].into(), at(now));
        }
        let json = table.statuses[&key].to_json();
        assert_eq!(json["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:10Z", "{json:#}");
        assert_eq!(json["listeners"][0]["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:20Z", "{json:#}");
        assert_eq!(json["listeners"][0]["conditions"][0]["status"], "False");
        table.take([(key.clone(), None)].into(), at(40));
        assert!(table.iter().next().is_none());
    }

    #[test]
    fn what_is_observed_stands_beside_what_is_translated() {
        let name = NamespacedName::new("shop", "mesh");
        let key = ObjectKey { source: SourceId::new("here"), kind: Kind::MeshInstallation, name };
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let accepted = |message: &str| {
            let conditions = vec![Condition::yes("Accepted", "Accepted", message, 1)];
            [(key.clone(), Some(Arc::new(Status::Conditions { conditions })))].into()
        };
        let signs = |reason| vec![Condition::no("Signs", reason, "", 1)];
        let mut table = StatusTable::default();
        assert!(!table.observe("ca", &key, signs("Early"), at(5)), "there is no such object yet");
        table.take(accepted(""), at(10));
        assert!(!table.observe("ca", &key, signs("Early"), at(20)), "as before");
        assert!(table.observe("ca", &key, signs("Late"), at(30)));
        table.take(accepted("again"), at(40));
        let json = table.statuses[&key].to_json();
        assert_eq!(
            (&json["conditions"][0]["message"], &json["conditions"][1]["reason"]),
            (&json!("again"), &json!("Late"))
        );
        assert_eq!(json["conditions"][1]["lastTransitionTime"], "1970-01-01T00:00:10Z", "{json:#}");
        assert!(table.observe("roots", &key, vec![Condition::yes("Published", "Published", "", 1)], at(45)));
        assert_eq!(table.statuses[&key].to_json()["conditions"].as_array().unwrap().len(), 3, "beside the other's");
        assert!(table.observe("ca", &key, Vec::new(), at(50)));
        assert_eq!(table.statuses[&key].to_json()["conditions"][1]["type"], "Published");
        assert!(table.observe("roots", &key, Vec::new(), at(60)));
        assert_eq!(table.statuses[&key].to_json()["conditions"].as_array().unwrap().len(), 1);
        assert!(table.observed.is_empty());
    }
}
