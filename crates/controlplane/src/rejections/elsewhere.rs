//! What the proxies of other replicas reject: asked of each, as nobody writes it down.

use super::{
    AskError, Part, Report,
    ask::{ask, question},
};
use crate::{ControlPlane, Stopped};
use futures::{StreamExt as _, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Replicas that are asked at a time.
const AT_ONCE: usize = 8;
/// How long the word of a replica counts that is gone: its proxies take a moment to turn to another.
const GRACE: Duration = Duration::from_secs(10);

/// What other replicas said last. For the replica that writes statuses.
#[derive(Debug, Default)]
pub struct Elsewhere {
    replicas: BTreeMap<Arc<str>, Replica>,
    /// Whether the control plane was told of anything.
    told: bool,
    /// How often they were asked.
    round: u64,
}

#[derive(Debug, Default)]
struct Replica {
    said: Report,
    silence: Option<Silence>,
    /// When it was first found to be gone.
    gone: Option<Instant>,
}

#[derive(Debug)]
struct Silence {
    /// The first round without an answer.
    since: u64,
    /// It was said in the log.
    noted: bool,
}

impl Replica {
    /// It did not answer in this round. True where people are to know: of a pod that is about to listen or has just ended they need
    /// not, so it takes two rounds.
    fn is_silent(&mut self, round: u64) -> bool {
        let silence = self.silence.get_or_insert(Silence { since: round, noted: false });
        round > silence.since && !std::mem::replace(&mut silence.noted, true)
    }
}

impl Elsewhere {
    /// Asks all other replicas, by name and by where their pages are, and tells the control plane what they say. One that does not
    /// answer goes on counting by what it said last, for as long as it is among them.
    ///
    /// # Errors
    /// The control plane has stopped.
    pub async fn ask(
        &mut self,
        plane: &ControlPlane,
        replicas: &BTreeMap<Arc<str>, SocketAddr>,
    ) -> Result<(), Stopped> {
        self.round += 1;
        self.keep(|name| replicas.contains_key(name), Instant::now());
        if !replicas.is_empty() {
            let here = plane.rejected(&BTreeSet::new()).await?;
            let parts = |said: &Self| here.parts().chain(said.parts()).cloned().collect::<BTreeSet<Part>>();
            let mut asked = parts(self);
            self.ask_each(replicas, &asked).await;
            // Of what is rejected at one of them since, the others were not asked.
            let known = parts(self);
            if !known.is_subset(&asked) {
                asked = known;
                self.ask_each(replicas, &asked).await;
            }
        }
        let reports: Vec<Report> = self.replicas.values().map(|replica| replica.said.clone()).collect();
        let any = reports.iter().any(|said| *said != Report::default());
        if std::mem::replace(&mut self.told, any) || any {
            plane.rejected_elsewhere(reports).await?;
        }
        Ok(())
    }

    async fn ask_each(&mut self, replicas: &BTreeMap<Arc<str>, SocketAddr>, parts: &BTreeSet<Part>) {
        let question = question(parts);
        let answers = stream::iter(replicas.clone()).map(|(name, address)| {
            let answer = ask(address, question.clone());
            async move { (name, answer.await) }
        });
        let answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
        answers.into_iter().for_each(|(name, answer)| self.hear(&name, answer));
    }

    /// What is rejected, wherever that is.
    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.replicas.values().flat_map(|replica| replica.said.parts())
    }

    /// Who is no longer there counts for a moment yet.
    fn keep(&mut self, is_there: impl Fn(&str) -> bool, now: Instant) {
        self.replicas.retain(|name, replica| {
            if is_there(name) {
                replica.gone = None;
                return true;
            }
            now.saturating_duration_since(*replica.gone.get_or_insert(now)) < GRACE
        });
    }

    fn hear(&mut self, name: &Arc<str>, answer: Result<Report, AskError>) {
        let replica = self.replicas.entry(name.clone()).or_default();
        match answer {
            Ok(said) => *replica = Replica { said, ..Replica::default() },
            Err(error) => {
                if replica.is_silent(self.round) {
                    tracing::warn!(
                        replica = &**name,
                        "does not say what its proxies reject, so that statuses may not tell it: {error}"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejections::PartAt;
    use tombolo_proto::{ResourceType, Scope, Version};

    fn says(name: &str) -> Result<Report, AskError> {
        let part = Part { scope: Scope::gateway("shop", "edge"), kind: ResourceType::Listener, name: name.into() };
        let mut report = Report::default();
        report.reject(PartAt { part, version: Version(1) }, "no", 1);
        Ok(report)
    }

    fn names(elsewhere: &Elsewhere) -> Vec<&str> {
        elsewhere.parts().map(|part| &*part.name).collect()
    }

    #[test]
    fn people_are_told_once_of_who_does_not_answer_twice() {
        let mut replica = Replica::default();
        let told = [1, 1, 2, 2, 3].map(|round| replica.is_silent(round));
        assert_eq!(told, [false, false, true, false, false]);
        let (mut elsewhere, name) = (Elsewhere { round: 1, ..Elsewhere::default() }, "a".into());
        for (round, answer) in [(1, Err(AskError::Late)), (2, says("80")), (3, Err(AskError::Late))] {
            elsewhere.round = round;
            elsewhere.hear(&name, answer);
        }
        assert!(!elsewhere.replicas[&name].silence.as_ref().unwrap().noted, "it answered in between");
    }

    #[test]
    fn who_does_not_answer_counts_by_what_it_said_while_it_is_there_and_a_moment_longer() {
        let (mut elsewhere, mut now) = (Elsewhere::default(), Instant::now());
        elsewhere.hear(&"a".into(), says("80"));
        elsewhere.hear(&"b".into(), says("81"));
        elsewhere.hear(&"b".into(), Err(AskError::Late));
        assert_eq!(names(&elsewhere), ["80", "81"]);
        now += Duration::from_secs(100);
        elsewhere.keep(|name| name == "b", now);
        assert_eq!(names(&elsewhere), ["80", "81"], "a is gone since just now");
        elsewhere.keep(|name| name == "b", now + GRACE);
        assert_eq!(names(&elsewhere), ["81"]);
        elsewhere.hear(&"b".into(), Ok(Report::default()));
        assert!(names(&elsewhere).is_empty());
    }

    #[test]
    fn who_comes_back_in_time_was_never_gone() {
        let (mut elsewhere, now) = (Elsewhere::default(), Instant::now());
        elsewhere.hear(&"a".into(), says("80"));
        elsewhere.keep(|_| false, now);
        elsewhere.keep(|_| true, now + GRACE / 2);
        elsewhere.keep(|_| false, now + GRACE * 2);
        assert_eq!(names(&elsewhere), ["80"]);
    }
}
