//! How publishing stands, in one condition of the whole mesh: there may be thousands of namespaces.

use super::ledger::{NAMES, Place};
use std::collections::{BTreeMap, BTreeSet};
use tombolo_api::{ObjectKey, mesh::ROOT_CERTIFICATE_PUBLISHED as PUBLISHED};
use tombolo_controlplane::Finding;
use tombolo_core::{FieldPath, Problem};
use tombolo_translate::status::Condition;

/// ConfigMaps that are named; of the rest only the number is told.
const NAMED: usize = 3;
const MAKE_ROOM: &str = "remove them, or what writes them, if agents of this mesh are to read them there";

/// How publishing stands, once all that can be written is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// What is somebody else's, and is left alone.
    pub(super) foreign: BTreeSet<Place>,
    /// What the API server does not take: why, and what people can do about it.
    pub(super) refused: BTreeMap<Place, Refused>,
}

/// The API server does not take a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// What it says.
    pub(super) why: String,
    /// What people can do about it.
    pub(super) fix: &'static str,
}

impl Refused {
    /// True where the API server says the same, but for figures: it counts what there is, numbers requests, and says the time.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let figure = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
        let words = |refused: &Self| -> Vec<String> {
            refused.why.split_whitespace().filter(|word| !figure(word)).map(str::to_owned).collect()
        };
        self.fix == other.fix && words(self) == words(other)
    }
}

impl Standing {
    /// For the status of the MeshInstallation, and so of the MeshRevision.
    pub(super) fn finding(&self, key: &ObjectKey) -> Finding {
        let refused = self.refused.values().next();
        let (reason, parts, fix) = match refused {
            Some(refused) => ("Refused", vec![Some(self.of_refused(&refused.why)), self.of_foreign()], refused.fix),
            None => ("OwnedByAnother", vec![self.of_foreign()], MAKE_ROOM),
        };
        let message = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        if message.is_empty() {
            let condition = Condition::yes(PUBLISHED, "Published", "every namespace has the root certificates", 0);
            return Finding { condition, problem: None };
        }
        let condition = Condition::no(PUBLISHED, reason, format!("{message}; {fix}"), 0);
        let (object, field) = (key.reference(), FieldPath::from("spec.ca"));
        let problem = match refused {
            Some(_) => Problem::error(object, field, reason, message),
            None => Problem::warning(object, field, reason, message),
        };
        Finding { condition, problem: Some(problem.fix(fix)) }
    }

    fn of_refused(&self, why: &str) -> String {
        format!("{} cannot be written, with the root certificates: {why}", count(self.refused.keys()))
    }

    fn of_foreign(&self) -> Option<String> {
        let some = !self.foreign.is_empty();
        some.then(|| format!("{} are written by another, and left alone", count(self.foreign.iter())))
    }
}

/// `4 ConfigMaps (a/NAME, b/NAME, c/NAME and 1 more)`.
fn count<'p>(places: impl ExactSizeIterator<Item = &'p Place>) -> String {
    let all = places.len();
    let named: Vec<_> = places.take(NAMED).map(|(namespace, which)| format!("{namespace}/{}", NAMES[*which])).collect();
    let more = all - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{all} ConfigMap{} ({}{more})", if all == 1 { "" } else { "s" }, named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo_api::Kind;
    use tombolo_core::{NamespacedName, SourceId};

    fn said(standing: &Standing) -> (bool, &'static str, String) {
        let name = NamespacedName::new("", "default");
        let key = ObjectKey { source: SourceId::new("settings"), kind: Kind::MeshInstallation, name };
        let Finding { condition, problem } = standing.finding(&key);
        assert_eq!(problem.is_none(), condition.status);
        (condition.status, condition.reason, condition.message)
    }

    #[test]
    fn all_is_well_until_something_is_anothers_or_refused() {
        let mut standing = Standing::default();
        assert_eq!((said(&standing).0, said(&standing).1), (true, "Published"));
        standing.foreign = ["a", "b", "c", "d", "e"].map(|namespace| (namespace.into(), 1)).into();
        let (holds, reason, message) = said(&standing);
        assert_eq!((holds, reason), (false, "OwnedByAnother"));
        let names = "a/istio-ca-root-cert, b/istio-ca-root-cert, c/istio-ca-root-cert and 2 more";
        assert!(message.starts_with(&format!("5 ConfigMaps ({names}) are written by another")), "{message}");
        assert!(message.ends_with(MAKE_ROOM), "{message}");
        let refused = Refused { why: "exceeded quota".to_owned(), fix: "grant it" };
        standing.refused = [(("f".into(), 0), refused)].into();
        let (_, reason, message) = said(&standing);
        assert_eq!(reason, "Refused");
        assert!(message.starts_with("1 ConfigMap (f/tombolo-ca-root-cert) cannot be written"), "{message}");
        assert!(message.contains("exceeded quota; 5 ConfigMaps") && message.ends_with("; grant it"), "{message}");
    }
}
