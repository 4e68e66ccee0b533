//! Which endpoints a proxy uses, and in which order, by where it is.
//!
//! Kubernetes' rules, as kube-proxy has them: where every endpoint says for whom it is and some are for the proxy's node, else
//! its zone, those alone are used. Otherwise `trafficDistribution` puts the endpoints of the proxy's node (`PreferSameNode`) or
//! zone (`PreferSameZone`, `PreferClose`) first; the others serve when none of those does. A service
//! with endpoints outside Kubernetes is never cut down by hints, which do not know those.
//!
//! A proxy that reaches one address family only uses the endpoints of that family.

use super::{Variant, gather::Candidate, variant::Level};
use crate::{
    engine::{Fact, Relation, View},
    envoy,
    ir::{Address, Endpoint},
};
use std::sync::Arc;
use tombolo_api::kubernetes::Hints;
use tombolo_proto::Resource;

/// The assignment as those proxies see it that see another one than the rest.
pub(super) fn variants(
    view: &View<'_>,
    candidates: &[Candidate<'_>],
    name: &Arc<str>,
    base: &Resource,
) -> Vec<(Variant, Arc<Resource>)> {
    let level = level(candidates);
    if level == Level::Nothing {
        return Vec::new();
    }
    let seen = view.relation(Relation::Variants).filter_map(|fact| match fact {
        Fact::Variant(variant) if variant.level() <= level => Some(variant),
        _ => None,
    });
    seen.filter_map(|variant| {
        let resource = envoy::assignment(name.clone(), &arrange(candidates, variant)?);
        (resource != *base).then(|| (variant.clone(), Arc::new(resource)))
    })
    .collect()
}

/// How much of a proxy matters to these endpoints.
fn level(candidates: &[Candidate<'_>]) -> Level {
    let all_hint = |hinted: fn(&Hints) -> bool| candidates.iter().all(|c| c.hints.is_some_and(hinted));
    let distributed = |word: &str| candidates.iter().any(|c| c.distribution == Some(word));
    if candidates.is_empty() {
        Level::Nothing
    } else if distributed("PreferSameNode") || all_hint(|hints| !hints.for_nodes.is_empty()) {
        Level::Node
    } else if ["PreferClose", "PreferSameZone"].into_iter().any(distributed) || all_hint(|h| !h.for_zones.is_empty()) {
        Level::Zone
    } else if candidates.iter().any(|c| is_ipv4(c) == Some(true))
        && candidates.iter().any(|c| is_ipv4(c) == Some(false))
    {
        Level::Family
    } else {
        Level::Nothing
    }
}

/// The endpoints for one kind of proxy; `None` where it has nothing of its own at this level, so that the next coarser one counts.
fn arrange(candidates: &[Candidate<'_>], variant: &Variant) -> Option<Vec<Endpoint>> {
    let reached: Vec<&Candidate<'_>> = candidates.iter().filter(|c| reaches(variant, c)).collect();
    // A proxy that reaches none is better off with addresses that fail than with a service that looks empty.
    let reached = if reached.is_empty() { candidates.iter().collect() } else { reached };
    match variant.level() {
        Level::Node => {
            hinted(&reached, |h| h.for_nodes.iter().any(|hint| hint.name == variant.node), |h| !h.for_nodes.is_empty())
                .or_else(|| preferred(&reached, &["PreferSameNode"], |c| c.node == &*variant.node))
        }
        Level::Zone => {
            hinted(&reached, |h| h.for_zones.iter().any(|hint| hint.name == variant.zone), |h| !h.for_zones.is_empty())
                .or_else(|| {
                    let words = ["PreferClose", "PreferSameZone", "PreferSameNode"];
                    preferred(&reached, &words, |c| c.endpoint.locality.zone == variant.zone)
                })
        }
        Level::Family | Level::Nothing => Some(reached.iter().map(|c| c.endpoint.clone()).collect()),
    }
}

/// Those alone that are for the proxy, if every endpoint says for whom it is and some are.
fn hinted(
    reached: &[&Candidate<'_>],
    mine: impl Fn(&Hints) -> bool,
    says: impl Fn(&Hints) -> bool,
) -> Option<Vec<Endpoint>> {
    if !reached.iter().all(|c| c.hints.is_some_and(&says)) {
        return None;
    }
    let mine: Vec<_> = reached.iter().filter(|c| c.hints.is_some_and(&mine)).map(|c| c.endpoint.clone()).collect();
    (!mine.is_empty()).then_some(mine)
}

/// Those near the proxy first, if every endpoint's Service asks for it and some are near.
fn preferred(
    reached: &[&Candidate<'_>],
    words: &[&str],
    near: impl Fn(&Candidate<'_>) -> bool,
) -> Option<Vec<Endpoint>> {
    let asked = reached.iter().all(|c| c.distribution.is_some_and(|word| words.contains(&word)));
    if !asked || !reached.iter().any(|c| near(c)) {
        return None;
    }
    let with_priority = |c: &&Candidate<'_>| Endpoint { priority: u32::from(!near(c)), ..c.endpoint.clone() };
    let mut endpoints: Vec<_> = reached.iter().map(with_priority).collect();
    endpoints.sort_unstable();
    Some(endpoints)
}

fn reaches(variant: &Variant, candidate: &Candidate<'_>) -> bool {
    match (variant.family(), is_ipv4(candidate)) {
        (Some(family), Some(ipv4)) => family == ipv4,
        _ => true,
    }
}

fn is_ipv4(candidate: &Candidate<'_>) -> Option<bool> {
    match candidate.endpoint.address {
        Address::Ip(ip, _) => Some(ip.is_ipv4()),
        Address::Name(..) | Address::Pipe(_) => None,
    }
}
