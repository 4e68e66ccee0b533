//! Events on objects, as `kubectl describe` shows them. The same is told once in a while, not each time.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, Recorder, Reporter},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

pub use kube::runtime::events::EventType;

/// The same Event is told again after this.
const WINDOW: Duration = Duration::from_secs(600);
/// Events remembered, at most: past that, the oldest may be told twice.
const REMEMBERED: usize = 4096;
/// Of a note, as the API has it.
const LONGEST_NOTE: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

/// Tells Events as one controller.
pub struct Events {
    recorder: Recorder,
    told: Mutex<Told>,
    counted: Family<ByReason, Counter>,
}

impl Events {
    /// Tells as `controller`, from the process `instance`: a pod's name.
    pub fn new(client: Client, controller: &str, instance: &str) -> Self {
        let reporter = Reporter { controller: controller.to_owned(), instance: Some(instance.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), told: Mutex::default(), counted: Family::default() }
    }

    /// Counts Events as `tombolo_events` by reason, whether they were told again or not.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("tombolo_events", "What was noticed, by reason", self.counted.clone());
    }

    /// Tells what happened to an object, unless the same was told within ten minutes. `reason` is one word, also in metrics;
    /// `action` is what was being done. An Event that cannot be told is logged: nothing depends on it.
    pub async fn tell(
        &self,
        about: &ObjectReference,
        type_: EventType,
        reason: &'static str,
        action: &str,
        note: &str,
    ) {
        self.counted.get_or_create(&ByReason { reason }).inc();
        if !self.is_news(about, type_, reason, note) {
            return;
        }
        let note = Some(cut(note).to_owned());
        let event = Event { type_, reason: reason.to_owned(), note, action: action.to_owned(), secondary: None };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::debug!(reason, object = about.name, "an Event cannot be told: {error}");
        }
    }

    fn is_news(&self, about: &ObjectReference, type_: EventType, reason: &str, note: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (&about.kind, &about.namespace, &about.name, &about.uid, type_, reason, note).hash(&mut hasher);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.is_news(hasher.finish(), Instant::now())
    }
}

/// What was told, and when.
#[derive(Debug, Default)]
struct Told(HashMap<u64, Instant>);

impl Told {
    fn is_news(&mut self, event: u64, now: Instant) -> bool {
        if self.0.get(&event).is_some_and(|told| now < *told + WINDOW) {
            return false;
        }
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, told| now < *told + WINDOW);
        }
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(event, now);
        true
    }
}

/// At most as long as a note may be, at the end of a character.
fn cut(note: &str) -> &str {
    let end = note.floor_char_boundary(LONGEST_NOTE);
    &note[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_again_after_a_while() {
        let (mut told, now) = (Told::default(), Instant::now());
        assert!(told.is_news(1, now));
        assert!(!told.is_news(1, now + WINDOW / 2));
        assert!(told.is_news(2, now + WINDOW / 2));
        assert!(told.is_news(1, now + WINDOW));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut told, now) = (Told::default(), Instant::now());
        for event in 0..3 * REMEMBERED as u64 {
            told.is_news(event, now);
        }
        assert!(told.0.len() <= REMEMBERED);
    }

    #[test]
    fn a_long_note_ends_with_a_whole_character() {
        let note = "ä".repeat(LONGEST_NOTE);
        assert_eq!(cut(&note).len(), LONGEST_NOTE);
        assert_eq!(cut(&format!("x{note}")).len(), LONGEST_NOTE - 1);
        assert_eq!(cut("short"), "short");
    }
}
