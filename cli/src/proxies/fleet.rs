//! All proxies, whichever replica serves them. Each replica knows its own only.

use super::{
    name::{self, NameError},
    source::{Answer, Replica},
    watching,
};
use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tombolo_core::with_causes;

/// What every replica said.
#[derive(Debug, Serialize)]
pub(super) struct Fleet {
    proxies: Vec<Proxy>,
    replicas: Vec<Told>,
}

/// One proxy's stream.
#[derive(Debug, Serialize)]
struct Proxy {
    name: String,
    replica: String,
    revision: String,
    #[serde(flatten)]
    connected: Connected,
    /// Where in the list of replicas its replica is.
    #[serde(skip)]
    at: usize,
}

/// One replica, and how it answered.
#[derive(Debug, Serialize)]
struct Told {
    #[serde(flatten)]
    replica: Replica,
    /// How many proxies it serves; absent where it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxies: Option<usize>,
    /// Why it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The kinds that it cannot watch now: it goes on with what it read last.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    unwatched: BTreeSet<String>,
}

/// A stream, as `/debug/proxies` says it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Connected {
    /// The node id.
    pub(super) proxy: String,
    pub(super) protocol: String,
    pub(super) connected_seconds: u64,
    #[serde(default)]
    pub(super) types: Vec<OfType>,
}

/// What was asked for of one type, and how far that is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct OfType {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) subscribed: u64,
    #[serde(default)]
    pub(super) unanswered: Vec<String>,
    #[serde(default)]
    pub(super) pending: usize,
    #[serde(default)]
    pub(super) held: Vec<Held>,
    #[serde(default)]
    pub(super) rejected: Vec<Rejected>,
}

/// A change that waits until the proxy has accepted others.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Held {
    pub(super) name: String,
    pub(super) seconds: u64,
}

/// What the proxy would not take.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Rejected {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) message: String,
}

/// How far a proxy is with a type: Istio's words, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It holds what it should.
    Synced,
    /// It was sent something, or is about to be, and has not accepted it yet.
    Stale,
    /// It is not sent something before it has accepted something else.
    Waiting,
    /// It rejects something, and goes on with what it had.
    Rejected,
}

impl OfType {
    pub(super) fn state(&self) -> State {
        match () {
            () if !self.rejected.is_empty() => State::Rejected,
            () if !self.held.is_empty() => State::Waiting,
            () if self.pending > 0 || !self.unanswered.is_empty() => State::Stale,
            () => State::Synced,
        }
    }
}

/// A proxy, and who serves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) name: &'a str,
    pub(super) connected: &'a Connected,
    pub(super) replica: &'a Replica,
}

impl Fleet {
    /// Puts together what the replicas said. That one of them says nothing is part of the answer; that none does is an error.
    pub(super) fn of(answers: Vec<(Replica, Answer)>) -> anyhow::Result<Self> {
        let (mut proxies, mut replicas) = (Vec::new(), Vec::new());
        for (at, (replica, answer)) in answers.into_iter().enumerate() {
            let read = answer.and_then(|body| Ok(serde_json::from_slice::<Vec<Connected>>(&body)?));
            let (count, error) = match read {
                Ok(connected) => {
                    let count = connected.len();
                    proxies.extend(connected.into_iter().map(|connected| proxy(connected, &replica, at)));
                    (Some(count), None)
                }
                Err(error) => (None, Some(with_causes(error.as_ref()))),
            };
            replicas.push(Told { replica, proxies: count, error, unwatched: BTreeSet::new() });
        }
        if replicas.iter().all(|told| told.proxies.is_none()) {
            bail!("no control plane answers; {}", reasons(&replicas));
        }
        proxies.sort_by(|a, b| (&a.name, &a.replica).cmp(&(&b.name, &b.replica)));
        Ok(Self { proxies, replicas })
    }

    /// Notes what replicas cannot watch, by their metrics. One that does not give them says nothing of it.
    pub(super) fn watch(&mut self, metrics: Vec<(Replica, Answer)>) {
        for (replica, page) in metrics {
            let Some(told) = self.replicas.iter_mut().find(|told| told.replica.name == replica.name) else { continue };
            told.unwatched = page.map(|page| watching::failing(&String::from_utf8_lossy(&page))).unwrap_or_default();
        }
    }

    /// The replicas that cannot watch everything, and what they cannot.
    pub(super) fn unwatched(&self) -> impl Iterator<Item = (&Replica, &BTreeSet<String>)> {
        let cut_off = self.replicas.iter().filter(|told| !told.unwatched.is_empty());
        cut_off.map(|told| (&told.replica, &told.unwatched))
    }

    /// Every proxy's stream, in order of names.
    pub(super) fn proxies(&self) -> impl Iterator<Item = Found<'_>> {
        self.proxies.iter().filter_map(|proxy| {
            let replica = &self.replicas.get(proxy.at)?.replica;
            Some(Found { name: &proxy.name, connected: &proxy.connected, replica })
        })
    }

    /// How many replicas there are.
    pub(super) fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// The replicas that said nothing, and why.
    pub(super) fn silent(&self) -> impl Iterator<Item = (&Replica, &str)> {
        self.replicas.iter().filter_map(|told| Some((&told.replica, told.error.as_deref()?)))
    }

    /// The proxy of a name. One that has just turned to another replica has two streams for a moment: the younger counts.
    pub(super) fn find(&self, wanted: &str) -> Result<Found<'_>, NameError> {
        let node = name::find(wanted, self.proxies.iter().map(|proxy| proxy.connected.proxy.as_str()))?;
        let streams = self.proxies().filter(|found| found.connected.proxy == node);
        streams.min_by_key(|found| found.connected.connected_seconds).ok_or(NameError::Nobody)
    }
}

/// Each reason once, with whom it is of.
fn reasons(replicas: &[Told]) -> String {
    let mut reasons = BTreeMap::<&str, Vec<&str>>::new();
    for told in replicas {
        reasons.entry(told.error.as_deref().unwrap_or_default()).or_default().push(&told.replica.name);
    }
    reasons.into_iter().map(|(why, names)| format!("{}: {why}", names.join(", "))).collect::<Vec<_>>().join("; ")
}

fn proxy(connected: Connected, replica: &Replica, at: usize) -> Proxy {
    let (replica, revision) = (replica.name.clone(), replica.revision.clone());
    Proxy { name: name::of(&connected.proxy), replica, revision, connected, at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;
    use serde_json::json;

    fn replica(name: &str) -> Replica {
        Replica { name: name.into(), revision: "default".into() }
    }

    /// A replica with these proxies, by name and age.
    fn says(name: &str, proxies: &[(&str, u64)]) -> (Replica, Answer) {
        let one = |(proxy, age): &(&str, u64)| {
            json!({"connection": 1, "proxy": format!("sidecar~10.0.0.1~{proxy}~x"), "protocol": "delta",
                "connected_seconds": age, "scopes": [], "unread": 0, "types": []})
        };
        let list: Vec<_> = proxies.iter().map(one).collect();
        (replica(name), Ok(json!(list).to_string().into()))
    }

    #[test]
    fn proxies_of_all_replicas_are_one_list_by_name() {
        let fleet = Fleet::of(vec![says("r-1", &[("b.ns", 5), ("d.ns", 5)]), says("r-2", &[("a.ns", 5), ("c.ns", 5)])]);
        let fleet = fleet.unwrap();
        let seen: Vec<_> = fleet.proxies().map(|found| (found.name.to_owned(), found.replica.name.clone())).collect();
        let expected = [("a.ns", "r-2"), ("b.ns", "r-1"), ("c.ns", "r-2"), ("d.ns", "r-1")];
        assert_eq!(seen, expected.map(|(name, replica)| (name.to_owned(), replica.to_owned())));
        assert_eq!(fleet.find("c").unwrap().replica.name, "r-2");
    }

    #[test]
    fn a_replica_that_says_nothing_costs_its_own_proxies_only() {
        let lost = (replica("r-1"), Err(anyhow!("connection refused")));
        let fleet = Fleet::of(vec![lost, says("r-2", &[("a.ns", 5)])]).unwrap();
        assert_eq!(fleet.proxies().count(), 1);
        assert_eq!(
            fleet.silent().map(|(replica, why)| (&*replica.name, why)).collect::<Vec<_>>(),
            [("r-1", "connection refused")]
        );
        let json = serde_json::to_value(&fleet).unwrap();
        assert_eq!(json["replicas"][0], json!({"name": "r-1", "revision": "default", "error": "connection refused"}));
        assert_eq!(json["proxies"][0]["replica"], "r-2");
    }

    #[test]
    fn that_none_says_anything_is_an_error_with_every_reason() {
        let lost = |name: &str| (replica(name), Err(anyhow!("gone")));
        let error = Fleet::of(vec![lost("r-1"), lost("r-2")]).unwrap_err().to_string();
        assert!(error.contains("answers; r-1, r-2: gone"), "{error}");
        let garbage = (replica("r-1"), Ok("<html>".into()));
        assert!(Fleet::of(vec![garbage]).is_err());
    }

    #[test]
    fn the_younger_of_two_streams_counts() {
        let fleet = Fleet::of(vec![says("old", &[("a.ns", 900)]), says("new", &[("a.ns", 2)])]).unwrap();
        assert_eq!(fleet.find("a.ns").unwrap().replica.name, "new");
    }

    #[test]
    fn the_worst_of_a_type_is_its_state() {
        let synced = OfType { subscribed: 3, ..OfType::default() };
        assert_eq!(synced.state(), State::Synced);
        let stale = OfType { pending: 1, ..synced };
        assert_eq!(stale.state(), State::Stale);
        let waiting = OfType { held: vec![Held::default()], ..stale };
        assert_eq!(waiting.state(), State::Waiting);
        let rejected = OfType { rejected: vec![Rejected::default()], ..waiting };
        assert_eq!(rejected.state(), State::Rejected);
    }
}
