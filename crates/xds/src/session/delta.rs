//! What a request means in the delta protocol.

use super::{Session, channel::Base, empty_assignment, held::Held, items::Items, naming_nothing_is_everything};
use crate::index::{Index, NameId};
use std::{collections::HashMap, sync::Arc, time::Instant};
use tombolo_proto::{Ref, Resource, ResourceType, Version};

/// The name that stands for everything.
pub(super) const EVERYTHING: &str = "*";

impl Session {
    pub(super) fn ask_delta(
        &mut self,
        kind: ResourceType,
        (subscribe, unsubscribe): (&[Arc<str>], &[String]),
        initial: Held,
        index: &mut Index,
        now: Instant,
    ) {
        let first = self.channels[kind as usize].is_none();
        let channel = self.channels[kind as usize].get_or_insert_default();
        if first {
            channel.resumed = !initial.is_empty();
        }
        let initial = if first { initial.into_versions() } else { HashMap::new() };
        for name in unsubscribe {
            if name == EVERYTHING { self.unwant_all(kind, index) } else { self.unwant(kind, name, index, now) }
        }
        let named = subscribe.iter().filter(|name| ***name != *EVERYTHING);
        if first && initial.is_empty() {
            self.want_first(kind, named, index, now);
        } else {
            named.for_each(|name| self.want(kind, name, initial.get(name).copied(), index, now));
        }
        let implied = first && subscribe.is_empty() && naming_nothing_is_everything(kind);
        if implied || subscribe.iter().any(|name| **name == *EVERYTHING) {
            self.want_all(kind, initial, index, now);
        }
        self.owed.retain(|owed| owed.kind != kind);
    }

    /// The names that a client begins with that holds nothing of the type: thousands at once, from all clients in the same moment.
    fn want_first<'a>(
        &mut self,
        kind: ResourceType,
        names: impl Iterator<Item = &'a Arc<str>>,
        index: &mut Index,
        now: Instant,
    ) {
        let ids = index.subscribe_all(self.connection, kind, names);
        let Some(channel) = &mut self.channels[kind as usize] else { return };
        channel.names.extend(&ids);
        // Most are neighbours: all of a type, in the order in which they came to be.
        channel.names.optimize();
        let visible = |id: &NameId| index.visible(self.connection, kind, *id);
        channel.queue = Items::of_news(ids.iter().filter_map(visible), Base::Nothing, true, now);
        if channel.queue.len() == ids.len() {
            return; // as nearly always
        }
        for name in ids.iter().filter(|id| visible(id).is_none()).filter_map(|id| index.name(kind, *id)) {
            channel.answer(name, None, Base::Nothing, now);
        }
    }

    /// `holds` is the version that the client holds, if it says that it does; the inner `None` is one that is not ours.
    fn want(
        &mut self,
        kind: ResourceType,
        name: &Arc<str>,
        holds: Option<Option<Version>>,
        index: &mut Index,
        now: Instant,
    ) {
        let Some(channel) = &mut self.channels[kind as usize] else { return };
        let (id, fresh) = index.subscribe(self.connection, kind, name);
        channel.names.insert(id);
        let Some(name) = index.name(kind, id) else { return };
        let visible = index.visible(self.connection, kind, id);
        if !fresh || channel.wildcard && visible.is_some() {
            return channel.answer_again(kind, name, visible.cloned(), now, &mut self.events);
        }
        let Some(holds) = holds else { return channel.answer(name, visible.cloned(), Base::Nothing, now) };
        let owed = self.owed.contains(&Ref { kind, name: name.clone() });
        match (is_version_of(holds, kind, name, visible), owed) {
            (true, false) => {}
            (true, true) => channel.answer(name, visible.cloned(), visible.cloned().into(), now),
            (false, _) => channel.offer(name, visible.cloned(), Base::Unknown, now),
        }
    }

    /// `holds`: what the client holds, with versions.
    fn want_all(
        &mut self,
        kind: ResourceType,
        mut holds: HashMap<Arc<str>, Option<Version>>,
        index: &mut Index,
        now: Instant,
    ) {
        let Some(channel) = &mut self.channels[kind as usize] else { return };
        if std::mem::replace(&mut channel.wildcard, true) {
            return;
        }
        index.set_wildcard(self.connection, kind, true);
        channel.owes_answer = !channel.resumed;
        let strays = channel.strays();
        let all = index.list(self.connection, kind);
        if holds.is_empty() && channel.is_untouched() {
            channel.queue = Items::of_news(all.map(|(_, resource)| resource), Base::Absent, false, now);
            return;
        }
        for (id, resource) in all {
            let held = holds.remove(&**resource.name());
            if channel.names.contains(id) {
                continue;
            }
            match held.map(|held| is_version_of(held, kind, resource.name(), Some(resource))) {
                Some(true) => {}
                None if !strays.contains(resource.name()) => {
                    channel.offer(resource.name(), Some(resource.clone()), Base::Absent, now);
                }
                _ => channel.offer(resource.name(), Some(resource.clone()), Base::Unknown, now),
            }
        }
        let unseen = |name: &Arc<str>| self.wants(kind, name, index).is_none();
        let gone: Vec<_> = holds.into_keys().chain(strays).filter(unseen).collect();
        let Some(channel) = &mut self.channels[kind as usize] else { return };
        for name in gone {
            channel.offer(&name, None, Base::Unknown, now);
        }
    }

    pub(super) fn unwant(&mut self, kind: ResourceType, name: &str, index: &mut Index, now: Instant) {
        let (Some(channel), Some(id)) = (&mut self.channels[kind as usize], index.id(kind, name)) else { return };
        let Some(name) = index.name(kind, id).filter(|_| channel.names.remove(id)).cloned() else { return };
        if channel.wildcard {
            // The client dropped it, and waits to hear whether everything includes it.
            let visible = index.visible(self.connection, kind, id).cloned();
            channel.answer_again(kind, &name, visible, now, &mut self.events);
        } else {
            channel.forget(kind, &name, &mut self.events);
        }
        index.unsubscribe(self.connection, kind, id);
    }

    pub(super) fn unwant_all(&mut self, kind: ResourceType, index: &mut Index) {
        let Some(channel) = &mut self.channels[kind as usize] else { return };
        index.set_wildcard(self.connection, kind, false);
        (channel.wildcard, channel.legacy, channel.owes_answer) = (false, false, false);
        for name in channel.unsettled() {
            if !index.id(kind, &name).is_some_and(|id| channel.names.contains(id)) {
                channel.forget(kind, &name, &mut self.events);
            }
        }
    }
}

/// Whether a client that holds this version holds what is visible.
fn is_version_of(held: Option<Version>, kind: ResourceType, name: &Arc<str>, visible: Option<&Arc<Resource>>) -> bool {
    let version = match visible {
        Some(resource) => Some(resource.version()),
        None if kind == ResourceType::Endpoints => Some(empty_assignment(name).version()),
        None => None,
    };
    version.is_some() && held == version
}
