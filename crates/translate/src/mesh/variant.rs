//! Kinds of proxies that see endpoints differently, and the scopes of a proxy that follow from it.

use std::sync::Arc;
use tombolo_core::ProxyKind;
use tombolo_proto::Scope;

/// What of a proxy may change which endpoints it sees, or in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variant {
    /// Its zone; empty where unknown.
    pub zone: Arc<str>,
    /// Its node; empty where unknown.
    pub node: Arc<str>,
    /// Whether it reaches IPv4 addresses.
    pub ipv4: bool,
    /// Whether it reaches IPv6 addresses.
    pub ipv6: bool,
}

/// How much of a proxy matters to a set of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Nothing: every proxy sees the same.
    Nothing,
    /// Which address family it reaches.
    Family,
    /// Its zone too.
    Zone,
    /// Its node too.
    Node,
}

impl Variant {
    /// This variant and the coarser ones that it is a case of, the finest first: by node, by zone, by address family. Those of
    /// every connected proxy are the members of [`crate::engine::Relation::Variants`]. Empty for a proxy of which nothing is known.
    pub fn levels(&self) -> Vec<Self> {
        let zone = Self { node: "".into(), ..self.clone() };
        let family = Self { zone: "".into(), ..zone.clone() };
        let mut levels = vec![self.clone(), zone, family];
        levels.dedup();
        levels.retain(|variant| variant.level() > Level::Nothing);
        levels
    }

    /// Part of the names of scopes: `zone/node/4`. The last word is the only address family that is reached, if it is only one.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.zone, self.node, self.family().map_or("", |v4| if v4 { "4" } else { "6" }))
    }

    /// True for IPv4 only, false for IPv6 only; `None` where both are reached, or it is not known.
    pub(super) fn family(&self) -> Option<bool> {
        (self.ipv4 != self.ipv6).then_some(self.ipv4)
    }

    pub(super) fn level(&self) -> Level {
        match (self.node.is_empty(), self.zone.is_empty(), self.family()) {
            (false, ..) => Level::Node,
            (true, false, _) => Level::Zone,
            (true, true, Some(_)) => Level::Family,
            (true, true, None) => Level::Nothing,
        }
    }
}

/// How a sidecar gets the connections of its workload: the node metadata `INTERCEPTION_MODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Interception {
    /// All of them are redirected to it: `REDIRECT`, `TPROXY`, and where nothing is said.
    #[default]
    Captured,
    /// None is: callers and the workload connect to its listeners by themselves (`NONE`). So several share one machine.
    Explicit,
}

/// The part of a scope that only sidecars see whose connections are captured: listeners that have no use, and no place, where
/// nothing is redirected to them.
pub(super) fn captured(base: &Scope) -> Scope {
    base.variant("captured")
}

/// The scopes of a proxy in order of precedence: a pure function of what it has proven to be and of where it is.
///
/// `name` is that of the Gateway that a gateway's proxy serves, or of the workload that a sidecar stands beside; for those with
/// [`Interception::Captured`] it is unused, so that they share everything with the others of their namespace. Gateways
/// capture nothing, whatever `interception` says.
pub fn scopes(
    kind: ProxyKind,
    namespace: &str,
    name: &str,
    variant: &Variant,
    interception: Interception,
) -> Vec<Scope> {
    let levels = variant.levels();
    let with_levels =
        |base: Scope| levels.iter().map(|v| base.variant(&v.name())).chain([base.clone()]).collect::<Vec<_>>();
    let shared = [Scope::namespace(namespace), Scope::public()].into_iter();
    match (kind, interception) {
        (ProxyKind::Gateway, _) => with_levels(Scope::gateway(namespace, name)),
        (ProxyKind::Sidecar, Interception::Explicit) => {
            [Scope::workload(namespace, name)].into_iter().chain(shared.flat_map(with_levels)).collect()
        }
        (ProxyKind::Sidecar, Interception::Captured) => {
            shared.flat_map(|base| [captured(&base)].into_iter().chain(with_levels(base))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: ProxyKind, variant: &Variant) -> Vec<String> {
        scopes(kind, "shop", "front", variant, Interception::Captured).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_finest_scope_comes_first() {
        let variant = Variant { zone: "a".into(), node: "n1".into(), ipv4: true, ipv6: false };
        assert_eq!(
            names(ProxyKind::Sidecar, &variant),
            [
                "namespace/shop@captured",
                "namespace/shop@a/n1/4",
                "namespace/shop@a//4",
                "namespace/shop@//4",
                "namespace/shop",
                "public@captured",
                "public@a/n1/4",
                "public@a//4",
                "public@//4",
                "public"
            ]
        );
        let unknown = Variant { ipv4: true, ipv6: true, ..Variant::default() };
        assert_eq!(names(ProxyKind::Gateway, &unknown), ["gateway/shop/front"]);
        let zone = Variant { zone: "a".into(), ..unknown };
        assert_eq!(names(ProxyKind::Gateway, &zone), ["gateway/shop/front@a//", "gateway/shop/front"]);
    }

    #[test]
    fn a_sidecar_that_captures_nothing_sees_its_workload_instead_of_captured_listeners() {
        let scopes = scopes(ProxyKind::Sidecar, "shop", "vm", &Variant::default(), Interception::Explicit);
        assert_eq!(scopes, [Scope::workload("shop", "vm"), Scope::namespace("shop"), Scope::public()]);
    }
}
