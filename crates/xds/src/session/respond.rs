//! What a response holds.

use super::{
    Session,
    channel::Base,
    empty_assignment,
    flight::Company,
    items::{Items, View},
    message::Response,
    naming_nothing_is_everything,
};
use crate::index::Index;
use std::{sync::Arc, time::Instant};
use tombolo_proto::{Framing, Resource, ResourceType, Version};

impl Session {
    /// The response that carries these items, recorded as sent; `None` where there is nothing to say.
    pub(super) fn respond(
        &mut self,
        kind: ResourceType,
        items: Items,
        index: &Index,
        now: Instant,
    ) -> Option<Response> {
        let owes_answer = self.channel(kind)?.owes_answer;
        let whole = self.framing == Framing::StateOfTheWorld && naming_nothing_is_everything(kind);
        // State-of-the-world has no word for the removal of what it sends one by one.
        let speechless = |item: View<'_>| {
            self.framing == Framing::StateOfTheWorld && item.want.is_none() && kind != ResourceType::Endpoints
        };
        if !owes_answer && !whole && items.views().all(speechless) {
            return None;
        }
        let (resources, removed, company) = if whole {
            let (resources, company) = self.whole_world(kind, &items, index);
            (resources, Vec::new(), Company::Everything(company))
        } else {
            let (resources, removed) = difference(kind, &items);
            (resources, removed, Company::Nobody)
        };
        self.nonce += 1;
        if kind == ResourceType::Cluster {
            self.repeat_dependents(&items, index, now);
        }
        let nonce = self.nonce;
        let channel = self.channels[kind as usize].as_mut()?;
        let proven = channel.flights.is_empty();
        if self.framing == Framing::StateOfTheWorld {
            channel.count(kind, &items);
        }
        channel.depart(nonce, items, company, now);
        // Whether the client will hold what the digest says shows when it has answered the others: nobody may take it at its word.
        let version = Version(if proven { channel.digest } else { channel.digest ^ u128::from(nonce) });
        Some(Response { kind, framing: self.framing, nonce, version, resources, removed })
    }

    /// Everything that the client is to hold, once it has this response; and of how much of it nobody knows whether it held
    /// it before.
    fn whole_world(&self, kind: ResourceType, items: &Items, index: &Index) -> (Vec<Arc<Resource>>, usize) {
        let Some(channel) = self.channel(kind) else { return (Vec::new(), 0) };
        let mut world = self.wanted(kind, index);
        let mut unknown = 0;
        for name in channel.unsettled().into_iter().filter(|name| !items.contains(name)) {
            match channel.held(&name, None) {
                Base::At(resource) => _ = world.insert(name, Some(resource)),
                Base::Nothing | Base::Absent => _ = world.remove(&name),
                // What the client names as wrong goes for now; of the rest nobody knows what it would take away.
                Base::Unknown if channel.is_accused(&name) => _ = world.remove(&name),
                Base::Unknown => unknown += 1,
            }
        }
        for (name, item) in items.iter() {
            world.insert(name.clone(), item.want.cloned());
        }
        (world.into_values().flatten().collect(), unknown)
    }

    /// When Envoy takes a changed cluster in, it waits for the cluster's endpoints and secrets to be sent again, changed or not.
    fn repeat_dependents(&mut self, clusters: &Items, index: &Index, now: Instant) {
        let resumed = self.channel(ResourceType::Cluster).is_some_and(|channel| channel.resumed);
        let sent = clusters.views().filter_map(|item| item.want);
        let dependents =
            |r: &&_| matches!(r, tombolo_proto::Ref { kind: ResourceType::Endpoints | ResourceType::Secret, .. });
        for dependent in sent.flat_map(|cluster| cluster.refs()).filter(dependents) {
            if let Some(visible) = self.wants(dependent.kind, &dependent.name, index) {
                let Some(channel) = &mut self.channels[dependent.kind as usize] else { continue };
                channel.repeat(&dependent.name, visible, now);
            } else if resumed && self.channel(dependent.kind).is_none() {
                self.owed.insert(dependent.clone());
            }
        }
    }
}

fn difference(kind: ResourceType, items: &Items) -> (Vec<Arc<Resource>>, Vec<Arc<str>>) {
    let (mut resources, mut removed) = (Vec::with_capacity(items.len()), Vec::new());
    for (name, item) in items.iter() {
        match item.want {
            Some(resource) => resources.push(resource.clone()),
            None if kind == ResourceType::Endpoints => resources.push(empty_assignment(name)),
            None => removed.push(name.clone()),
        }
    }
    (resources, removed)
}
