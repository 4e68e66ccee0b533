//! What the proxies of this replica see and have taken, as far as what is rejected goes.

use super::{
    Part, PartAt,
    book::{Entry, Since},
};
use std::{collections::HashMap, sync::Arc};
use tombolo_proto::{Scope, Version};
use tombolo_xds::{ConnectionId, Hub, Standing};

/// Who knows of proxies' streams: the hub.
pub(super) trait Proxies {
    /// One proxy's stream.
    type Stream: Copy;

    /// What is to be taken of a resource; `None` where there is none.
    fn version(&self, part: &Part) -> Option<Version>;
    /// Who sees a scope. The cost follows them.
    fn viewers(&self, scope: &Scope) -> Vec<Self::Stream>;
    /// Whose stream it is.
    fn proxy(&self, stream: Self::Stream) -> Option<Arc<str>>;
    /// How far it is with a resource.
    fn standing(&self, stream: Self::Stream, part: &Part) -> Standing;
}

impl Proxies for Hub {
    type Stream = ConnectionId;

    fn version(&self, part: &Part) -> Option<Version> {
        self.version(&part.scope, part.kind, &part.name)
    }

    fn viewers(&self, scope: &Scope) -> Vec<ConnectionId> {
        self.viewers(scope)
    }

    fn proxy(&self, stream: ConnectionId) -> Option<Arc<str>> {
        self.class(stream).map(|class| class.proxy)
    }

    fn standing(&self, stream: ConnectionId, part: &Part) -> Standing {
        self.standing(stream, part.kind, &part.name)
    }
}

/// Who sees what, for one look: that is asked once for each scope, however many resources are looked at.
pub(super) struct Viewers<'p, P: Proxies> {
    proxies: &'p P,
    by_scope: HashMap<Scope, HashMap<Arc<str>, Vec<P::Stream>>>,
}

impl<'p, P: Proxies> Viewers<'p, P> {
    pub(super) fn new(proxies: &'p P) -> Self {
        Self { proxies, by_scope: HashMap::new() }
    }

    /// What has become of what a proxy rejects no more. Of two streams of one proxy, the one that has answered counts.
    pub(super) fn since(&mut self, (part, proxy): &Entry) -> Since {
        let Some(version) = self.proxies.version(part) else {
            return Since::Settled; // nothing is to be taken any more
        };
        let proxies = self.proxies;
        let streams = self.of(&part.scope).get(proxy).into_iter().flatten();
        let standings: Vec<_> = streams.map(|stream| proxies.standing(*stream, part)).collect();
        let is = |such: fn(&Standing) -> bool| standings.iter().any(such);
        match () {
            () if is(|standing| matches!(standing, Standing::Held(_) | Standing::Absent)) => Since::Settled,
            () if is(|standing| matches!(standing, Standing::Due | Standing::Rejected)) => Since::Unanswered(version),
            () => Since::Gone(version),
        }
    }

    /// The resource as some proxy has taken it, of those that statuses tell of: what is a gateway's, and is there. Whatever else is asked
    /// for costs nothing.
    pub(super) fn taken(&mut self, part: &Part) -> Option<PartAt> {
        let version = self.proxies.version(part).filter(|_| part.scope.as_str().starts_with("gateway/"))?;
        let proxies = self.proxies;
        let mut streams = self.of(&part.scope).values().flatten();
        // Who sees another scope's copy of that name has taken that.
        let taken = streams.any(|stream| proxies.standing(*stream, part) == Standing::Held(version));
        taken.then(|| PartAt { part: part.clone(), version })
    }

    /// Who sees a scope, by proxy.
    fn of(&mut self, scope: &Scope) -> &HashMap<Arc<str>, Vec<P::Stream>> {
        let proxies = self.proxies;
        self.by_scope.entry(scope.clone()).or_insert_with(|| {
            let mut viewers = HashMap::<_, Vec<_>>::new();
            for stream in proxies.viewers(scope) {
                if let Some(proxy) = proxies.proxy(stream) {
                    viewers.entry(proxy).or_default().push(stream);
                }
            }
            viewers
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, collections::BTreeMap};
    use tombolo_proto::ResourceType;

    const NOW: Version = Version(2);

    /// Streams that see every scope, each of a proxy and as far with every resource as it says.
    struct Fake {
        /// What there is.
        named: &'static str,
        streams: BTreeMap<usize, (&'static str, Standing)>,
        asked_for_viewers: Cell<usize>,
        asked_for_standings: Cell<usize>,
    }

    impl Proxies for Fake {
        type Stream = usize;

        fn version(&self, part: &Part) -> Option<Version> {
            part.name.starts_with(self.named).then_some(NOW)
        }

        fn viewers(&self, _: &Scope) -> Vec<usize> {
            self.asked_for_viewers.set(self.asked_for_viewers.get() + 1);
            self.streams.keys().copied().collect()
        }

        fn proxy(&self, stream: usize) -> Option<Arc<str>> {
            Some(self.streams[&stream].0.into())
        }

        fn standing(&self, stream: usize, _: &Part) -> Standing {
            self.asked_for_standings.set(self.asked_for_standings.get() + 1);
            self.streams[&stream].1
        }
    }

    fn fake(streams: &[(&'static str, Standing)]) -> Fake {
        let streams = streams.iter().copied().enumerate().collect();
        Fake { named: "is", streams, asked_for_viewers: Cell::default(), asked_for_standings: Cell::default() }
    }

    fn part(scope: Scope, name: &str) -> Part {
        Part { scope, kind: ResourceType::Listener, name: name.into() }
    }

    fn edge(name: &str) -> Part {
        part(Scope::gateway("shop", "edge"), name)
    }

    #[test]
    fn what_is_invented_costs_no_walk_through_proxies() {
        let fake = fake(&[("p", Standing::Held(NOW))]);
        let mut viewers = Viewers::new(&fake);
        for number in 0..1000 {
            assert_eq!(viewers.taken(&edge(&number.to_string())), None);
            assert_eq!(viewers.taken(&part(Scope::named(&format!("public/{number}")), "is")), None);
        }
        assert_eq!((fake.asked_for_viewers.get(), fake.asked_for_standings.get()), (0, 0));
        assert_eq!(viewers.taken(&edge("is")), Some(PartAt { part: edge("is"), version: NOW }));
    }

    #[test]
    fn whoever_sees_another_copy_has_not_taken_this_one() {
        for other in [Standing::Held(Version(1)), Standing::Due, Standing::Rejected, Standing::Absent] {
            assert_eq!(Viewers::new(&fake(&[("p", other)])).taken(&edge("is")), None);
            let some = fake(&[("p", other), ("q", Standing::Held(NOW))]);
            assert!(Viewers::new(&some).taken(&edge("is")).is_some());
        }
    }

    #[test]
    fn of_two_streams_the_one_that_has_answered_counts() {
        let since =
            |streams: &[(&'static str, Standing)]| Viewers::new(&fake(streams)).since(&(edge("is"), "p".into()));
        assert_eq!(since(&[("p", Standing::Due), ("p", Standing::Held(NOW))]), Since::Settled);
        assert_eq!(since(&[("p", Standing::Unasked), ("p", Standing::Due)]), Since::Unanswered(NOW));
        assert_eq!(since(&[("p", Standing::Unasked), ("q", Standing::Held(NOW))]), Since::Gone(NOW));
        assert_eq!(Viewers::new(&fake(&[("p", Standing::Due)])).since(&(edge("x"), "p".into())), Since::Settled);
    }

    #[test]
    fn who_sees_a_scope_is_asked_once_a_look() {
        let proxies: Vec<_> = (0..50).map(|number| (&*Box::leak(format!("p{number}").into()), Standing::Due)).collect();
        let fake = fake(&proxies);
        let mut viewers = Viewers::new(&fake);
        for (number, (proxy, _)) in proxies.iter().enumerate() {
            viewers.since(&(edge(&format!("is {number}")), (*proxy).into()));
        }
        assert_eq!((fake.asked_for_viewers.get(), fake.asked_for_standings.get()), (1, 50), "its own streams alone");
    }
}
