//! Who is given which address, remembered.
//!
//! A host that needs an address gets the one that a hash of its name says, or the next that is free: what others have decides
//! only where two collide. It keeps it for as long as it needs one, across restarts too: nothing is used before it is remembered,
//! as another host might get it after a restart, and workloads hold on to what they have looked up. A host that needs none any
//! more leaves its address unused for a while, so that it finds it again if it comes back.

#[cfg(test)]
mod tests;

use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    net::Ipv4Addr,
    sync::Arc,
};
use tombolo_core::Host;
use tombolo_translate::{
    Allocation, AutoAddress,
    engine::{Answer, Fact, Needs, Relation},
};

/// Where this stands in the store, and what could not be read of it.
const FILE: &str = "addresses.json";
const UNREADABLE: &str = "addresses.json.unreadable";

/// So many hosts that need no address any more are remembered with theirs, unless others need those.
const RELEASED: usize = 1024;

/// Gives addresses to hosts. Without a store it forgets them with itself, which is right where nothing is served.
#[derive(Default)]
pub struct Allocator {
    store: Option<Arc<dyn Store>>,
    /// Hosts that have an address, those that were let go included.
    given: BTreeMap<Host, AutoAddress>,
    taken: HashSet<AutoAddress>,
    /// Let go, the first of them first.
    released: VecDeque<Host>,
    /// Hosts that need one now, and those of them that have none.
    needed: BTreeSet<Host>,
    lacking: BTreeSet<Host>,
    /// Hosts whose address is not in the store yet.
    unsaved: BTreeSet<Host>,
    /// Hosts whose address others know to be theirs: see [`Allocator::adopt`].
    stated: HashSet<Host>,
    /// What translation was told.
    told: BTreeMap<Host, Allocation>,
}

/// As it is remembered.
#[derive(Serialize, Deserialize)]
struct Record {
    given: BTreeMap<Host, Ipv4Addr>,
    released: Vec<Host>,
}

impl Allocator {
    /// One that goes on from what is in the store. What cannot be understood there is set aside, and it begins anew.
    ///
    /// # Errors
    /// The store cannot be read, or what is to be set aside cannot be written.
    pub fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut allocator = Self::default();
        if let Some(bytes) = store.read(FILE)? {
            match serde_json::from_slice(&bytes) {
                Ok(record) => allocator.restore(record),
                Err(error) => {
                    store.write(UNREADABLE, &bytes)?;
                    tracing::error!(%error, "{FILE} in the state directory cannot be read: it is kept as {UNREADABLE}, and hosts are given addresses anew");
                }
            }
        }
        allocator.store = Some(store);
        Ok(allocator)
    }

    /// Takes in what is needed and what no longer is. What it gives is remembered before this returns.
    pub fn answer(&mut self, needs: &Needs) -> Answer {
        let mut changed = !self.unsaved.is_empty();
        for (host, needed) in needs {
            changed |= if *needed { self.need(host) } else { self.release(host) };
        }
        // What was let go may serve those who got nothing before.
        let lacking = self.lacking.clone();
        for host in &lacking {
            changed |= self.give(host);
        }
        let unsettled: BTreeSet<Host> =
            needs.keys().cloned().chain(lacking).chain(self.unsaved.iter().cloned()).collect();
        self.settle(unsettled, changed)
    }

    /// Takes over what others know: of several control planes one states on the objects who has which address, and all go by
    /// that. Who had such an address here gets another. Of two hosts that are stated to have one, the first keeps it.
    ///
    /// To be called before those hosts are asked for; [`Allocator::release_unneeded`] after.
    pub fn adopt(&mut self, stated: &[(Host, Ipv4Addr)]) -> Answer {
        let mut unsettled = BTreeSet::new();
        for (host, address) in stated {
            let Some(address) = AutoAddress::of_v4(*address) else { continue };
            if self.given.get(host) != Some(&address) {
                match self.holder(address) {
                    Some(holder) if self.stated.contains(&holder) => continue,
                    Some(holder) => {
                        self.evict(&holder);
                        unsettled.insert(holder);
                    }
                    None => {}
                }
                if let Some(old) = self.given.insert(host.clone(), address) {
                    self.taken.remove(&old);
                }
                self.taken.insert(address);
                self.lacking.remove(host);
                unsettled.insert(host.clone());
            }
            self.stated.insert(host.clone());
        }
        if unsettled.is_empty() {
            return Answer::default();
        }
        let lacking = self.lacking.clone();
        for host in &lacking {
            self.give(host);
        }
        self.settle(unsettled.into_iter().chain(lacking).collect(), true)
    }

    /// Lets go of those that were stated to have an address and need none.
    pub fn release_unneeded(&mut self, stated: &[(Host, Ipv4Addr)]) {
        for (host, _) in stated {
            if self.given.contains_key(host) && !self.needed.contains(host) && !self.released.contains(host) {
                self.let_go(host);
            }
        }
    }

    fn settle(&mut self, unsettled: BTreeSet<Host>, changed: bool) -> Answer {
        let failure: Option<Arc<str>> = changed.then(|| Some(self.save().err()?.to_string().into())).flatten();
        self.tell(unsettled, failure.as_ref())
    }

    /// Whose an address is. Looked for only where two want one.
    fn holder(&self, address: AutoAddress) -> Option<Host> {
        let is_taken = self.taken.contains(&address);
        is_taken
            .then(|| self.given.iter().find(|(_, given)| **given == address).map(|(host, _)| host.clone()))
            .flatten()
    }

    fn evict(&mut self, host: &Host) {
        if let Some(address) = self.given.remove(host) {
            self.taken.remove(&address);
        }
        self.released.retain(|released| released != host);
        if self.needed.contains(host) {
            self.lacking.insert(host.clone());
        }
    }

    /// True where something given is not remembered yet: it is tried again whenever something is asked, be it nothing.
    pub fn is_behind(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Lets go of what nobody has needed since it was opened. To be called once everything is known that there is.
    pub fn release_absent(&mut self) {
        let absent = |host: &&Host| !self.needed.contains(host) && !self.released.contains(host);
        let absent: Vec<Host> = self.given.keys().filter(absent).cloned().collect();
        absent.iter().for_each(|host| self.let_go(host));
        // Only what is let go changes: if that is forgotten, it is let go again.
        if !absent.is_empty()
            && let Err(error) = self.save()
        {
            tracing::warn!(%error, "released addresses are not remembered as such");
        }
    }

    /// Returns true where what is to be remembered changes; so do the others.
    fn need(&mut self, host: &Host) -> bool {
        self.needed.insert(host.clone());
        if !self.given.contains_key(host) {
            self.lacking.insert(host.clone());
        }
        let released = self.released.iter().position(|released| released == host);
        released.is_some_and(|at| self.released.remove(at).is_some())
    }

    fn release(&mut self, host: &Host) -> bool {
        self.lacking.remove(host);
        let had = self.needed.remove(host) && self.given.contains_key(host);
        if had {
            self.let_go(host);
        }
        had
    }

    fn let_go(&mut self, host: &Host) {
        self.released.push_back(host.clone());
        if self.released.len() > RELEASED {
            self.forget_oldest();
        }
    }

    /// Forgets the host that was let go first. Returns its address.
    fn forget_oldest(&mut self) -> Option<AutoAddress> {
        let host = self.released.pop_front()?;
        self.unsaved.remove(&host);
        self.stated.remove(&host);
        let address = self.given.remove(&host)?;
        self.taken.remove(&address);
        Some(address)
    }

    fn give(&mut self, host: &Host) -> bool {
        let Some(address) = self.free(host) else { return false };
        self.given.insert(host.clone(), address);
        self.taken.insert(address);
        self.lacking.remove(host);
        self.unsaved.insert(host.clone());
        true
    }

    /// The address that is this host's, or the next that nobody has; where there is none, that of the host let go first.
    fn free(&mut self, host: &Host) -> Option<AutoAddress> {
        if self.taken.len() < AutoAddress::COUNT as usize {
            let mut address = AutoAddress::preferred(host);
            while self.taken.contains(&address) {
                address = address.next();
            }
            return Some(address);
        }
        self.forget_oldest()
    }

    fn save(&mut self) -> Result<(), StoreError> {
        if let Some(store) = &self.store {
            let given = self.given.iter().map(|(host, address)| (host.clone(), address.v4())).collect();
            let record = Record { given, released: self.released.iter().cloned().collect() };
            store.write(FILE, &serde_json::to_vec(&record).unwrap_or_default())?;
        }
        self.unsaved.clear();
        Ok(())
    }

    /// What translation must know of these hosts that it was not told.
    fn tell(&mut self, hosts: BTreeSet<Host>, failure: Option<&Arc<str>>) -> Answer {
        let mut answer = Answer::default();
        for host in hosts {
            let now = self.needed.contains(&host).then(|| self.allocation(&host, failure));
            let before = match &now {
                Some(now) => self.told.insert(host.clone(), now.clone()),
                None => self.told.remove(&host),
            };
            if before != now {
                let fact = |allocation| (Relation::Allocated(host.clone()), Fact::Allocation(allocation));
                answer.withdrawn.extend(before.map(fact));
                answer.facts.extend(now.map(fact));
            }
        }
        answer
    }

    fn allocation(&self, host: &Host, failure: Option<&Arc<str>>) -> Allocation {
        match (self.given.get(host), failure) {
            (None, _) => Allocation::Exhausted,
            (Some(_), Some(why)) if self.unsaved.contains(host) => Allocation::Unsaved(why.clone()),
            (Some(address), _) => Allocation::Given(*address),
        }
    }

    /// Takes over what was remembered; of two that have one address, the first.
    fn restore(&mut self, record: Record) {
        for (host, address) in record.given {
            match AutoAddress::of_v4(address) {
                Some(address) if self.taken.insert(address) => drop(self.given.insert(host, address)),
                _ => {
                    tracing::warn!(%host, %address, "{FILE}: the host is given another address: this one is not its own");
                }
            }
        }
        let mut seen = HashSet::new();
        let known = |host: &Host| self.given.contains_key(host) && seen.insert(host.clone());
        self.released = record.released.into_iter().filter(known).collect();
    }
}
