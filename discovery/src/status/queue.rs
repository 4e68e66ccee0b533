//! Which statuses to look at, and when. Pure: time is passed in. One entry for each object, so it cannot grow past what
//! there is, and the latest wins.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;
use tombolo_api::ObjectKey;
use tombolo_kubernetes::retry::{Backoff, Failure};

/// From a change to its write: what changes an object often changes it twice in a row.
const LINGER: Duration = Duration::from_millis(50);
/// Whoever undoes what we write is answered ever later, until he has let it be for so long.
const QUARREL: Duration = Duration::from_secs(600);

/// Why an object is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// It was seen to be different.
    Seen,
    /// What we say of it is different.
    Said,
}

/// How looking at an object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There was nothing to write.
    Settled,
    /// There is no such object: with it goes what is remembered of it.
    Gone,
    /// It was written.
    Written,
    /// Somebody else wrote first, and what they wrote was not seen yet.
    Outrun,
    /// It could not be written.
    Failed(Failure),
}

/// Objects to look at.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BTreeMap<ObjectKey, Entry>,
    due: BTreeSet<(Instant, ObjectKey)>,
    /// The API server is away or busy: nothing is taken before this.
    paused: Option<Instant>,
    outage: Backoff,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// The strongest reason since it was last written.
    why: Why,
    failures: Backoff,
    quarrel: Option<Quarrel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be looked at then.
    Due(Instant),
    /// Being looked at; and again, where something changed since.
    Taken(Option<Why>),
    /// To be looked at once something newer is seen.
    Outrun,
    /// Nothing to do: only the quarrel is remembered.
    Calm,
}

/// What we wrote was undone.
#[derive(Clone, Copy, Debug)]
struct Quarrel {
    last: Instant,
    wait: Duration,
    answers: Backoff,
}

impl Queue {
    /// Something about an object is different.
    pub(super) fn touch(&mut self, key: &ObjectKey, why: Why, now: Instant) {
        let soon = now + LINGER;
        let Some(entry) = self.entries.get_mut(key) else {
            let entry = Entry { state: State::Due(soon), why, failures: Backoff::default(), quarrel: None };
            self.entries.insert(key.clone(), entry);
            self.due.insert((soon, key.clone()));
            return;
        };
        if let State::Taken(again) = &mut entry.state {
            *again = (*again).max(Some(why));
            return;
        }
        let at = match (entry.state, why) {
            (State::Taken(_), _) => return,
            // What was seen of a failing object is no reason to hurry.
            (State::Due(at), Why::Seen) => at,
            (State::Due(at), Why::Said) => at.min(soon),
            (State::Outrun, Why::Seen) => now,
            // It would be outrun again.
            (State::Outrun, Why::Said) => return entry.why = Why::Said,
            (State::Calm, Why::Said) => soon,
            (State::Calm, Why::Seen) => entry.quarrel.map_or(soon, |quarrel| soon.max(quarrel.last + quarrel.wait)),
        };
        entry.why = entry.why.max(why);
        if entry.state == State::Calm {
            entry.why = why;
        }
        self.schedule(key, at);
    }

    /// Takes objects that are due, the longest waiting first, each with the reason to look at it.
    pub(super) fn take(&mut self, at_most: usize, now: Instant) -> Vec<(ObjectKey, Why)> {
        let mut taken = Vec::new();
        if self.paused.is_some_and(|until| now < until) {
            return taken;
        }
        while taken.len() < at_most
            && self.due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, key)) = self.due.pop_first()
        {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.state = State::Taken(None);
                taken.push((key, entry.why));
            }
        }
        taken
    }

    /// When there is something to take next.
    pub(super) fn next(&self) -> Option<Instant> {
        let (at, _) = self.due.first()?;
        Some(self.paused.map_or(*at, |until| until.max(*at)))
    }

    /// An object that was taken has been looked at.
    pub(super) fn finish(&mut self, key: &ObjectKey, end: End, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let State::Taken(again) = entry.state else { return };
        if matches!(end, End::Written | End::Outrun) {
            self.outage.reset();
        }
        match end {
            End::Settled | End::Written | End::Gone => {
                if end == End::Written {
                    entry.note_quarrel(now);
                }
                entry.failures.reset();
                entry.state = State::Calm;
                let quarrels = end != End::Gone && entry.quarrel.is_some_and(|quarrel| now < quarrel.last + QUARREL);
                if !quarrels {
                    self.entries.remove(key);
                }
                if let Some(why) = again {
                    self.touch(key, why, now);
                }
            }
            // What changed meanwhile may be what it waits for: it is looked at again, and at worst outrun again.
            End::Outrun => {
                entry.state = State::Outrun;
                entry.why = entry.why.max(again.unwrap_or(Why::Seen));
                if again.is_some() {
                    self.touch(key, Why::Seen, now);
                }
            }
            End::Failed(failure) if failure.needs_people() || failure == Failure::Conflict => {
                let wait = if again == Some(Why::Said) { LINGER } else { entry.failures.after(failure) };
                entry.why = entry.why.max(again.unwrap_or(Why::Seen));
                self.schedule(key, now + wait);
            }
            End::Failed(failure) => {
                if self.paused.is_none_or(|until| until <= now) {
                    self.paused = Some(now + self.outage.after(failure));
                }
                entry.why = entry.why.max(again.unwrap_or(Why::Seen));
                self.schedule(key, now);
            }
        }
    }

    /// How many objects are not settled.
    pub(super) fn len(&self) -> usize {
        self.entries.values().filter(|entry| entry.state != State::Calm).count()
    }

    fn schedule(&mut self, key: &ObjectKey, at: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let State::Due(old) = entry.state {
            self.due.remove(&(old, key.clone()));
        }
        entry.state = State::Due(at);
        self.due.insert((at, key.clone()));
    }
}

impl Entry {
    /// A write without any news of ours puts back what somebody changed.
    fn note_quarrel(&mut self, now: Instant) {
        if self.why == Why::Said {
            self.quarrel = None;
            return;
        }
        let mut quarrel = self.quarrel.filter(|quarrel| now < quarrel.last + QUARREL).unwrap_or(Quarrel {
            last: now,
            wait: Duration::ZERO,
            answers: Backoff::default(),
        });
        quarrel.last = now;
        quarrel.wait = quarrel.answers.after(Failure::Unavailable);
        self.quarrel = Some(quarrel);
    }
}
