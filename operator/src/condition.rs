//! Conditions: what is said of an object, and when that changed. No client, no clock.

use tombolo_api::mesh::Condition;

/// What is said now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The condition's type.
    pub(crate) about: &'static str,
    pub(crate) truth: Truth,
    /// One word in CamelCase.
    pub(crate) reason: String,
    /// For people.
    pub(crate) message: String,
    /// Whether a person should look at it.
    pub(crate) alarming: bool,
}

/// `status` of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

/// The API server takes no longer ones.
const LONGEST_MESSAGE: usize = 32_768;

impl Verdict {
    pub(crate) fn new(
        about: &'static str,
        truth: impl Into<Truth>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        Self { about, truth: truth.into(), reason: reason.into(), message, alarming: false }
    }

    /// The same, as something that a person should look at.
    pub(crate) fn alarming(self) -> Self {
        Self { alarming: true, ..self }
    }
}

/// What is said now as conditions: where nothing is new, the time stays what it was.
pub(crate) fn settle(verdicts: &[Verdict], before: &[Condition], generation: i64, now: &str) -> Vec<Condition> {
    let condition = |verdict: &Verdict| {
        let same = before.iter().find(|old| old.r#type == verdict.about && old.status == verdict.truth.as_str());
        Condition {
            r#type: verdict.about.to_owned(),
            status: verdict.truth.as_str().to_owned(),
            reason: verdict.reason.clone(),
            message: verdict.message.clone(),
            last_transition_time: same.map_or_else(|| now.to_owned(), |old| old.last_transition_time.clone()),
            observed_generation: generation,
        }
    };
    verdicts.iter().map(condition).collect()
}

/// What people are told of: verdicts whose truth or reason is new. Not of progress, which `Ready` tells too, unless it alarms, and not that
/// nothing is degraded where nothing was.
pub(crate) fn news<'a>(verdicts: &'a [Verdict], before: &[Condition]) -> Vec<&'a Verdict> {
    let old = |verdict: &Verdict| before.iter().find(|old| old.r#type == verdict.about);
    let is_news = |verdict: &&Verdict| match (verdict.about, old(verdict)) {
        ("Progressing", _) if !verdict.alarming => false,
        ("Degraded", old) if verdict.truth == Truth::False => old.is_some_and(|old| old.status == "True"),
        (_, old) => old.is_none_or(|old| old.status != verdict.truth.as_str() || old.reason != verdict.reason),
    };
    verdicts.iter().filter(is_news).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_changes_with_the_truth_alone() {
        let first = settle(&[Verdict::new("Ready", false, "Starting", "1 of 2")], &[], 1, "t1");
        let second = settle(&[Verdict::new("Ready", false, "Starting", "2 of 2")], &first, 2, "t2");
        assert_eq!((&*second[0].last_transition_time, &*second[0].message), ("t1", "2 of 2"));
        assert_eq!(second[0].observed_generation, 2);
        let third = settle(&[Verdict::new("Ready", true, "Ready", "")], &second, 2, "t3");
        assert_eq!(third[0].last_transition_time, "t3");
    }

    #[test]
    fn news_is_told_once() {
        let verdicts = [Verdict::new("Ready", true, "Ready", "")];
        assert_eq!(news(&verdicts, &[]).len(), 1);
        let told = settle(&verdicts, &[], 1, "t");
        assert_eq!(news(&verdicts, &told).len(), 0);
        assert_eq!(news(&[Verdict::new("Ready", true, "Other", "")], &told).len(), 1);
    }

    #[test]
    fn that_nothing_is_wrong_is_no_news() {
        let healthy =
            [Verdict::new("Degraded", false, "Healthy", ""), Verdict::new("Progressing", true, "Updating", "")];
        assert_eq!(news(&healthy, &[]).len(), 0);
        let degraded = settle(&[Verdict::new("Degraded", true, "A", "")], &[], 1, "t");
        assert_eq!(news(&healthy, &degraded).len(), 1);
    }

    #[test]
    fn a_message_is_cut_where_a_letter_ends() {
        let long = Verdict::new("Ready", true, "A", "ä".repeat(LONGEST_MESSAGE));
        assert_eq!(long.message.len(), LONGEST_MESSAGE);
    }
}
