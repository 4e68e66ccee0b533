//! Whether what a Gateway says is in effect: the condition `Programmed` of it and of its listeners.

use super::{GatewayRow, ListenerRow, Refusal, placement::Placement, rejected};
use crate::status::Condition;
use std::collections::BTreeSet;

/// What is known of a Gateway and its proxies.
pub(super) struct Programming<'a> {
    /// The Gateway.
    pub(super) row: &'a GatewayRow,
    /// Where it is reached; `None` where nobody deploys gateways.
    pub(super) placement: Option<&'a Placement>,
    /// What its proxies reject.
    pub(super) rejected: Vec<&'a rejected::Rejected>,
}

impl Programming<'_> {
    /// Of the Gateway: it is programmed as soon as one of its listeners is.
    pub(super) fn of_gateway(&self) -> Condition {
        let no = |reason, message: &str| Condition::no("Programmed", reason, message, self.row.generation);
        if self.row.refused.is_some() {
            return no("Invalid", "the Gateway is not accepted");
        }
        let obstacles: Vec<Option<Refusal>> = self.row.serving().map(|listener| self.obstacle(listener)).collect();
        if obstacles.is_empty() {
            return no("Invalid", "no listener can serve: see their conditions");
        }
        if let Some(Refusal { reason, message }) = self.hindrance() {
            return no(reason, message);
        }
        // Listeners of one port have one obstacle.
        let mut told = BTreeSet::new();
        let messages = obstacles.iter().flatten().map(|obstacle| &*obstacle.message).filter(|text| told.insert(*text));
        let messages = messages.collect::<Vec<_>>().join("; ");
        let reached = obstacles.iter().any(Option::is_none);
        match obstacles.iter().flatten().next() {
            Some(first) if !reached => no(first.reason, &messages),
            _ => Condition::yes("Programmed", "Programmed", messages, self.row.generation),
        }
    }

    /// Of a listener: it is as reachable as its Gateway, and as its port.
    pub(super) fn of_listener(&self, listener: &ListenerRow) -> Condition {
        let no = |reason, message: &str| Condition::no("Programmed", reason, message, self.row.generation);
        if !listener.serves() || listener.unresolved.is_some() || self.row.refused.is_some() {
            return no("Invalid", "see the other conditions");
        }
        if let Some(Refusal { message, .. }) = self.hindrance() {
            return no("Pending", message);
        }
        match self.obstacle(listener) {
            // The specification has two reasons for a listener.
            Some(Refusal { reason: "Invalid", message }) => no("Invalid", &message),
            Some(Refusal { message, .. }) => no("Pending", &message),
            None => Condition::yes("Programmed", "Programmed", "", self.row.generation),
        }
    }

    fn hindrance(&self) -> Option<&Refusal> {
        self.placement.and_then(|placement| placement.hindrance.as_ref())
    }

    /// Why a listener of a Gateway that is reached is not.
    fn obstacle(&self, listener: &ListenerRow) -> Option<Refusal> {
        let rejected = rejected::of_listener(&self.rejected, listener);
        let rejected = rejected.map(|message| Refusal { reason: "Invalid", message });
        rejected.or_else(|| self.placement?.closed.get(&listener.port).cloned())
    }
}
