//! What the proxies of one replica reject, as replicas tell one another, and what follows from what all of them tell. No IO.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tombolo_proto::{ResourceType, Scope, Version};

/// The most characters of a proxy's words that are told on: more than a status repeats.
const MOST_WORDS: usize = 400;

/// A resource, whichever replica serves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// Who sees it.
    #[serde(serialize_with = "write_scope", deserialize_with = "read_scope")]
    pub scope: Scope,
    /// Its type.
    #[serde(rename = "type", serialize_with = "write_type", deserialize_with = "read_type")]
    pub kind: ResourceType,
    /// Its name.
    pub name: Arc<str>,
}

/// A resource as it is at one version: equal content has an equal version at every replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartAt {
    /// Which.
    #[serde(flatten)]
    pub part: Part,
    /// Of which content.
    #[serde(serialize_with = "write_version", deserialize_with = "read_version")]
    pub version: Version,
}

/// A resource that proxies reject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedPart {
    /// Which, and at which version.
    #[serde(flatten)]
    pub at: PartAt,
    /// The words of one of them, on one line.
    pub message: Arc<str>,
    /// How many there are.
    pub proxies: usize,
}

/// What the proxies of one replica reject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What some of them reject.
    pub rejected: Vec<RejectedPart>,
    /// What some of them have taken, of what is rejected here and of what was asked for.
    #[serde(default)]
    pub taken: BTreeSet<PartAt>,
}

impl Report {
    /// Resources that are rejected.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.rejected.iter().map(|rejected| &rejected.at.part)
    }

    /// Notes that proxies reject a resource.
    pub(crate) fn reject(&mut self, at: PartAt, message: &str, proxies: usize) {
        let message = match message.char_indices().nth(MOST_WORDS) {
            Some((end, _)) => format!("{}…", &message[..end]).into(),
            None => message.into(),
        };
        self.rejected.push(RejectedPart { at, message, proxies });
    }
}

/// What some proxy rejects and none has taken, with a proxy's words. Where some have taken just what is rejected, it serves; who holds
/// something else under its name, or has not answered yet, speaks neither for nor against it. The order of reports makes no difference.
pub(crate) fn by_all<'r>(reports: impl Iterator<Item = &'r Report> + Clone) -> BTreeMap<&'r Part, &'r str> {
    let taken: BTreeSet<&PartAt> = reports.clone().flat_map(|report| &report.taken).collect();
    let mut by_all = BTreeMap::<&Part, &str>::new();
    for RejectedPart { at, message, .. } in reports.flat_map(|report| &report.rejected) {
        if !taken.contains(at) {
            let words = by_all.entry(&at.part).or_insert(message);
            *words = message.as_ref().min(*words);
        }
    }
    by_all
}

fn write_scope<S: Serializer>(scope: &Scope, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(scope.as_str())
}

fn read_scope<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scope, D::Error> {
    String::deserialize(deserializer).map(|text| Scope::named(&text))
}

fn write_version<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(version)
}

fn read_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    let text = String::deserialize(deserializer)?;
    Version::parse(&text)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is no version: it has 32 hexadecimal digits")))
}

#[expect(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn write_type<S: Serializer>(kind: &ResourceType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.short())
}

fn read_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ResourceType, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = ResourceType::ALL.into_iter().find(|kind| kind.short() == text);
    known.ok_or_else(|| D::Error::custom(format!("{text:?} is no type: there are cds, eds, sds, lds, rds, nds")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Named `NAME@VERSION`; at the first version where it says none.
    fn part(text: &str) -> PartAt {
        let (name, version) = text.split_once('@').unwrap_or((text, "1"));
        let part = Part { scope: Scope::gateway("shop", "edge"), kind: ResourceType::Listener, name: name.into() };
        PartAt { part, version: Version(version.parse().unwrap()) }
    }

    fn report(rejected: &[(&str, &str)], taken: &[&str]) -> Report {
        let mut report = Report { taken: taken.iter().map(|name| part(name)).collect(), ..Report::default() };
        rejected.iter().for_each(|(name, words)| report.reject(part(name), words, 1));
        report
    }

    fn told(reports: &[Report]) -> Vec<(String, String)> {
        by_all(reports.iter()).into_iter().map(|(part, words)| (part.name.to_string(), words.to_owned())).collect()
    }

    #[test]
    fn what_is_rejected_anywhere_is_told_unless_it_serves_anywhere() {
        let here = report(&[("a", "no"), ("b", "no")], &["c"]);
        let there = report(&[("c", "not here"), ("d", "never")], &["b"]);
        let expected = [("a", "no"), ("d", "never")].map(|(name, words)| (name.to_owned(), words.to_owned()));
        assert_eq!(told(&[here.clone(), there.clone()]), expected);
        assert_eq!(told(&[there, here.clone()]), expected, "whatever the order");
        assert_eq!(told(&[here]).len(), 2, "who is not heard speaks neither for nor against it");
        assert_eq!(told(&[report(&[("a", "x")], &[]), report(&[("a", "w")], &[])]), [("a".to_owned(), "w".to_owned())]);
    }

    #[test]
    fn what_serves_with_another_content_serves_nobody_who_rejects_this_one() {
        let (rejected, old) = (report(&[("a@2", "no")], &[]), report(&[], &["a@1"]));
        assert_eq!(told(&[rejected.clone(), old.clone()]).len(), 1, "whoever is cut off holds what was");
        assert!(told(&[rejected.clone(), old, report(&[], &["a@2"])]).is_empty());
        let both = told(&[rejected, report(&[("a@1", "never")], &["a@2"])]);
        assert_eq!(both, [("a".to_owned(), "never".to_owned())], "each content by itself");
    }

    #[test]
    fn a_page_says_it_and_is_read_again() {
        let report = report(&[("0.0.0.0_80", "cannot bind")], &["x"]);
        let page = serde_json::to_value(&report).unwrap();
        assert_eq!(
            page["rejected"],
            json!([{"scope": "gateway/shop/edge", "type": "lds", "name": "0.0.0.0_80",
                "version": "00000000000000000000000000000001", "message": "cannot bind", "proxies": 1}])
        );
        assert_eq!(serde_json::from_value::<Report>(page).unwrap(), report);
        assert!(serde_json::from_value::<Part>(json!({"scope": "", "type": "x", "name": ""})).is_err());
        let unversioned = json!({"scope": "gateway/a/b", "type": "lds", "name": "x", "version": "1"});
        assert!(serde_json::from_value::<PartAt>(unversioned).is_err());
    }

    #[test]
    fn long_words_are_cut() {
        let report = report(&[("a", &"é".repeat(2000))], &[]);
        assert_eq!(report.rejected[0].message.chars().count(), MOST_WORDS + 1);
    }
}
