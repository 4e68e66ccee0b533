//! What a request means in the state-of-the-world protocol.
//!
//! A type's version is the sum of the versions of all that the client holds of it. So a client that comes back with it needs
//! nothing, whichever replica it comes back to; and one changed resource changes the sum without looking at the others.

use super::{
    Session,
    channel::{Base, Channel},
    delta::EVERYTHING,
    naming_nothing_is_everything,
};
use crate::index::{Index, NameId};
use roaring::RoaringBitmap;
use std::{collections::HashSet, sync::Arc, time::Instant};
use tombolo_proto::{Ref, ResourceType, Version};

/// The version of holding nothing.
const NOTHING: Version = Version(0);

impl Session {
    pub(super) fn ask_world(
        &mut self,
        kind: ResourceType,
        names: &[String],
        version: &str,
        index: &mut Index,
        now: Instant,
    ) {
        let first = self.channels[kind as usize].is_none();
        let channel = self.channels[kind as usize].get_or_insert_default();
        let implied = names.is_empty() && naming_nothing_is_everything(kind) && (first || channel.legacy);
        let wildcard = implied || names.iter().any(|name| name == EVERYTHING);
        channel.legacy = implied;
        if first {
            channel.resumed = !version.is_empty() && Version::parse(version) != Some(NOTHING);
        }
        let added = self.rename(kind, names, index, now);
        let started = wildcard && !self.channels[kind as usize].as_ref().is_some_and(|channel| channel.wildcard);
        if !wildcard && self.channels[kind as usize].as_ref().is_some_and(|channel| channel.wildcard) {
            self.unwant_all(kind, index);
        }
        if !first && added.is_empty() && !started {
            return;
        }
        if started {
            index.set_wildcard(self.connection, kind, true);
        }
        if let Some(channel) = &mut self.channels[kind as usize] {
            channel.wildcard = wildcard;
        }
        self.recount(kind, index);
        let resumed = first && self.digest(kind).is_some_and(|digest| Version::parse(version) == Some(Version(digest)));
        if resumed {
            self.pay_owed(kind, &added, index, now);
        } else {
            self.offer_world(kind, (&added, started), first, index, now);
        }
        self.owed.retain(|owed| owed.kind != kind);
    }

    /// Makes the names those that are wanted. Returns the new ones.
    fn rename(&mut self, kind: ResourceType, names: &[String], index: &mut Index, now: Instant) -> Vec<NameId> {
        let Some(channel) = &mut self.channels[kind as usize] else { return Vec::new() };
        let (mut wanted, mut added) = (RoaringBitmap::new(), Vec::new());
        for name in names.iter().filter(|name| *name != EVERYTHING) {
            let (id, fresh) = index.subscribe(self.connection, kind, name);
            if wanted.insert(id) && fresh {
                added.push(id);
            }
        }
        let dropped = &channel.names - &wanted;
        channel.names = wanted;
        for id in &dropped {
            let Some(name) = index.name(kind, id).cloned() else { continue };
            if channel.wildcard {
                // The client dropped it, and is to hear whether everything includes it.
                let visible = index.visible(self.connection, kind, id).cloned();
                channel.answer_again(kind, &name, visible, now, &mut self.events);
            } else {
                channel.forget(kind, &name, &mut self.events);
            }
            index.unsubscribe(self.connection, kind, id);
        }
        // Without a word about it, its version would go on saying that it holds what it dropped.
        channel.owes_answer |= !dropped.is_empty();
        if !dropped.is_empty() {
            self.recount(kind, index);
        }
        added
    }

    /// Queues what is new; on the first request that is everything.
    fn offer_world(
        &mut self,
        kind: ResourceType,
        (added, started): (&[NameId], bool),
        first: bool,
        index: &Index,
        now: Instant,
    ) {
        let Some(channel) = &mut self.channels[kind as usize] else { return };
        channel.owes_answer = true;
        let base = if first && channel.resumed { Base::Unknown } else { Base::Nothing };
        for id in added {
            let Some(name) = index.name(kind, *id) else { continue };
            let visible = index.visible(self.connection, kind, *id).cloned();
            // Everything included it already.
            if channel.wildcard && !started && visible.is_some() {
                channel.answer_again(kind, name, visible, now, &mut self.events);
            } else {
                channel.answer(name, visible, base.clone(), now);
            }
        }
        let mut strays = if started { channel.strays() } else { HashSet::new() };
        let all = started.then(|| index.list(self.connection, kind)).into_iter().flatten();
        for (_, resource) in all.filter(|(id, _)| !channel.names.contains(*id)).collect::<Vec<_>>() {
            let unknown = strays.remove(resource.name()) || first && channel.resumed;
            let base = if unknown { Base::Unknown } else { Base::Absent };
            channel.offer(resource.name(), Some(resource.clone()), base, now);
        }
        let unseen = |name: &Arc<str>| index.id(kind, name).is_none_or(|id| !channel.names.contains(id));
        for name in strays.into_iter().filter(unseen).collect::<Vec<_>>() {
            channel.offer(&name, None, Base::Unknown, now);
        }
        // What is queued is not held yet.
        self.recount(kind, index);
    }

    /// The client holds everything as it is; what goes with a changed cluster is sent all the same.
    fn pay_owed(&mut self, kind: ResourceType, names: &[NameId], index: &Index, now: Instant) {
        let Some(channel) = &mut self.channels[kind as usize] else { return };
        for id in names {
            let Some(name) = index.name(kind, *id) else { continue };
            if self.owed.contains(&Ref { kind, name: name.clone() }) {
                channel.repeat(name, index.visible(self.connection, kind, *id).cloned(), now);
            }
        }
    }

    /// Adds the digest up anew: the names have changed.
    fn recount(&mut self, kind: ResourceType, index: &Index) {
        let mut wanted = self.wanted(kind, index);
        let Some(channel) = &mut self.channels[kind as usize] else { return };
        // What is gone and waits to be taken away is held all the same.
        for name in channel.unsettled() {
            wanted.entry(name).or_default();
        }
        let held = wanted.iter().map(|(name, visible)| channel.held(name, visible.as_ref()).weight(kind, name));
        channel.digest = held.fold(0, u128::wrapping_add);
    }

    fn digest(&self, kind: ResourceType) -> Option<u128> {
        self.channel(kind).map(|channel: &Channel| channel.digest)
    }
}
