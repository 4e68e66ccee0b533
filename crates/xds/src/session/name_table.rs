//! The table of all names: one resource, whole whenever one of them changes, for clients that cannot take names one by one.
//!
//! It is made when it can go out, and not before: while an answer is due, changes are gathered as for any type. Its books are short,
//! as there is one resource, which never goes away and which nothing else names.

use super::{
    Ask, Session,
    message::{Event, Response},
};
use crate::{
    Standing,
    index::{Index, NAME_TABLE},
};
use std::{sync::Arc, time::Instant};
use tombolo_proto::{Resource, ResourceType, Version};

const KIND: ResourceType = ResourceType::NameTable;

/// What a client that asked for the table was told.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    /// Names may have changed since the table was made.
    pub(crate) stale: bool,
    /// It is sent even if the client holds it: it asked.
    owes_answer: bool,
    /// The version that the client has accepted.
    pub(crate) accepted: Option<Version>,
    /// What it has not answered: the latest alone, as that is the whole truth. Its nonce and version.
    pub(crate) flight: Option<(u64, Version)>,
    /// What it rejects, and its words.
    pub(crate) rejected: Option<(Version, String)>,
    last_sent: Option<Instant>,
    /// Kept, so that others who see the same need not make it again.
    sent: Option<Arc<Resource>>,
}

impl Session {
    /// The books of the table, once the client has asked for it.
    pub(crate) fn name_table(&self) -> Option<&NameTable> {
        self.name_table.as_deref()
    }

    /// Whether [`Session::ask_name_table`] would do anything.
    pub(super) fn changes_name_table(&self, ask: &Ask) -> bool {
        self.name_table.is_none()
            || matches!(ask, Ask::Delta { subscribe, unsubscribe, .. } if !subscribe.is_empty() || !unsubscribe.is_empty())
    }

    /// Whatever a client names, it means the table: there is nothing else of the type.
    pub(super) fn ask_name_table(&mut self, ask: &Ask, index: &mut Index) {
        let (asks, leaves, held) = match ask {
            Ask::Delta { subscribe, unsubscribe, initial } => {
                // The only resource there is, whatever an earlier server called it.
                (!subscribe.is_empty(), !unsubscribe.is_empty(), initial.any())
            }
            Ask::World { version, .. } => (false, false, Version::parse(version)),
        };
        if leaves && !asks {
            return self.close_name_table(index);
        }
        let first = self.name_table.is_none();
        let table = self.name_table.get_or_insert_default();
        if first {
            index.set_wildcard(self.connection, KIND, true);
            table.accepted = held;
        }
        table.stale = true;
        table.owes_answer = !first || table.accepted.is_none();
    }

    /// The client wants it no more.
    pub(super) fn close_name_table(&mut self, index: &mut Index) {
        if let Some(mut table) = self.name_table.take() {
            index.set_wildcard(self.connection, KIND, false);
            table.release(&mut self.events);
        }
    }

    /// Names that the client sees have changed.
    pub(super) fn names_changed(&mut self) {
        if let Some(table) = &mut self.name_table {
            table.stale = true;
        }
    }

    pub(super) fn poll_name_table(&mut self, index: &Index, now: Instant) -> Option<Response> {
        let table = self.name_table.as_mut().filter(|table| table.stale)?;
        let gathered_until = table.last_sent.filter(|_| table.flight.is_some()).map(|sent| sent + self.coalesce);
        if gathered_until.is_some_and(|until| now < until) {
            self.wake_by(gathered_until);
            return None;
        }
        let resource = index.name_table(self.connection)?;
        table.stale = false;
        let version = resource.version();
        if table.is_known(version) && !table.owes_answer {
            return None;
        }
        table.release(&mut self.events);
        self.nonce += 1;
        table.owes_answer = false;
        table.flight = Some((self.nonce, version));
        table.last_sent = Some(now);
        table.sent = Some(resource.clone());
        let (framing, nonce) = (self.framing, self.nonce);
        Some(Response { kind: KIND, framing, nonce, version, resources: vec![resource], removed: Vec::new() })
    }

    pub(super) fn name_table_answered(&mut self, nonce: u64, error: Option<String>) {
        let Some(table) = &mut self.name_table else { return };
        let Some((_, version)) = table.flight.take_if(|(sent, _)| *sent == nonce) else { return };
        let Some(message) = error else {
            table.accepted = Some(version);
            return self.events.push(Event::Acknowledged(KIND));
        };
        self.events.push(Event::Refused(KIND, message.clone()));
        self.events.push(Event::Withheld { kind: KIND, name: NAME_TABLE.clone(), version, message: message.clone() });
        table.rejected = Some((version, message));
    }
}

impl NameTable {
    /// How far the client is with it.
    pub(super) fn standing(&self) -> Standing {
        match self {
            Self { rejected: Some(_), .. } => Standing::Rejected,
            Self { stale: true, .. } | Self { flight: Some(_), .. } => Standing::Due,
            Self { accepted: Some(version), .. } => Standing::Held(*version),
            _ => Standing::Absent,
        }
    }

    /// The client holds it, is about to, or rejects it.
    fn is_known(&self, version: Version) -> bool {
        let rejected = self.rejected.as_ref().map(|(version, _)| *version);
        let held = self.flight.map(|(_, version)| version).or(self.accepted);
        held == Some(version) || rejected == Some(version)
    }

    fn release(&mut self, events: &mut Vec<Event>) {
        if let Some((version, _)) = self.rejected.take() {
            events.push(Event::Released { kind: KIND, name: NAME_TABLE.clone(), version });
        }
    }
}
