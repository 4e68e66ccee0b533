//! Responses that the client has not answered yet.

use super::{
    channel::{Base, Channel},
    items::Items,
};
use std::{ops::RangeInclusive, sync::Arc, time::Instant};
use tombolo_proto::ResourceType;

/// Responses of one type that may be unanswered at once; beyond it the two oldest are answered for together.
const MAX_FLIGHTS: usize = 4;

/// A response that the client has not answered yet.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) nonces: RangeInclusive<u64>,
    /// What it carried, and what the client held of that before.
    pub(crate) items: Items,
    pub(crate) sent: Instant,
    /// It carried everything: also what was unanswered then.
    pub(crate) whole: bool,
    /// What it carried and the client wanted no more before it answered.
    pub(crate) forgotten: Vec<Arc<str>>,
    /// How much it carried whose acceptance was open. Names leave `items` when the client wants them no more, or something newer
    /// is due.
    pub(crate) size: usize,
}

/// What else a response carried besides its items.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Company {
    /// Nothing.
    Nobody,
    /// Everything: what is unanswered, and so much of which nobody knows whether the client held it before.
    Everything(usize),
}

impl Channel {
    /// Adds a response to the version of all that the client holds.
    pub(crate) fn count(&mut self, kind: ResourceType, items: &Items) {
        for (name, item) in items.iter() {
            let sent = Base::from(item.want.cloned()).weight(kind, name);
            self.digest = self.digest.wrapping_sub(item.base.weight(kind, name)).wrapping_add(sent);
        }
    }

    /// Records a response as sent.
    pub(crate) fn depart(&mut self, nonce: u64, mut items: Items, company: Company, now: Instant) {
        let (mut size, whole) = (items.len(), matches!(company, Company::Everything(_)));
        if let Company::Everything(unknown) = company {
            self.carry(&mut items);
            size = items.len() + unknown;
        }
        self.owes_answer = false;
        self.last_sent = Some(now);
        self.flights.push_back(Flight { nonces: nonce..=nonce, items, sent: now, whole, forgotten: Vec::new(), size });
        if self.flights.len() > MAX_FLIGHTS
            && let (Some(first), Some(second)) = (self.flights.pop_front(), self.flights.pop_front())
        {
            self.flights.push_front(first.join(second));
        }
        self.queue.shrink_to_fit();
    }

    /// The client has accepted everything up to this nonce.
    pub(crate) fn accept(&mut self, nonce: u64) {
        while let Some(flight) = self.flights.pop_front_if(|flight| *flight.nonces.end() <= nonce) {
            if !self.flights.iter().any(|later| later.whole) {
                continue; // nothing rests on it
            }
            for (name, accepted) in flight.items {
                self.prove(&name, &accepted.want.into());
            }
        }
    }

    /// The client turns out to hold this under a name that full sets on their way may carry along. Returns whether one does.
    pub(crate) fn prove(&mut self, name: &str, held: &Base) -> bool {
        let (mut carried, mut unchanged) = (false, true);
        for later in self.flights.iter_mut().filter(|later| later.whole) {
            let Some(item) = later.items.get_mut(name) else { continue };
            carried = true;
            item.base = held.clone();
            // A set that changes it back is news again.
            unchanged &= held.is(item.want.as_ref());
            if unchanged {
                later.items.remove(name);
                later.size -= 1;
            }
        }
        carried
    }

    /// A full set carries what is unanswered along: to accept it is to accept that.
    fn carry(&self, items: &mut Items) {
        // The last flight carried the ones before it.
        for (name, earlier) in self.flights.back().into_iter().flat_map(|flight| flight.items.iter()) {
            match items.get_mut(name) {
                Some(item) => item.base = earlier.base.clone(),
                None => items.insert(name.clone(), earlier.item()),
            }
        }
    }
}

impl Flight {
    /// Two responses as one: what the client held before the first, and what the second left it with.
    fn join(mut self, later: Self) -> Self {
        self.forgotten.extend(later.forgotten);
        for (name, item) in later.items {
            match self.items.get_mut(&name) {
                Some(earlier) => earlier.want = item.want,
                None => self.items.insert(name, item),
            }
        }
        Self { nonces: *self.nonces.start()..=*later.nonces.end(), size: self.size + later.size, ..self }
    }
}
