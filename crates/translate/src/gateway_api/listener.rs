//! A port that a Gateway listens on.

use super::{Gateway, GatewayRow, manual};
use crate::{
    engine::{Built, Emits, Fact, Relation, Unit, View},
    envoy::{self, Bind, Edge},
    ir::{self, Chains, TlsChain},
    mesh,
};
use std::sync::Arc;
use tombolo_api::{ObjectKey, gateway::Protocol};
use tombolo_core::Port;
use tombolo_proto::Scope;

/// A port that a Gateway listens on: one Envoy listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listener {
    /// The Gateway.
    pub gateway: ObjectKey,
    /// The port.
    pub port: Port,
}

impl Unit for Listener {
    type Output = Arc<ir::Listener>;
    const RANK: u8 = 8;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let row = view.unit(&Gateway(self.gateway.clone()))?.as_ref()?;
        let mut serving = row.on_port(self.port).peekable();
        let chains = match serving.peek()?.protocol {
            Protocol::Https => Chains::Https(
                serving
                    .map(|listener| TlsChain {
                        sni: listener.hostname.clone(),
                        certificates: listener.certificates.clone(),
                        table: listener.table(&self.gateway).name(),
                    })
                    .collect(),
            ),
            _ => Chains::Http { table: serving.peek()?.table(&self.gateway).name() },
        };
        let listener = ir::Listener { port: self.port, chains };
        let mut emits = Emits::default();
        let settings = mesh::settings(view);
        for (scope, bind, port) in self.binds(view, row) {
            let edge = Edge {
                bind: &bind,
                port,
                access_log: settings.access_log.as_ref(),
                trusted_proxies: settings.gateways.num_trusted_proxies,
            };
            emits.resource(scope, Arc::new(envoy::listener(&listener, &edge)));
        }
        Some(Built { output: Arc::new(listener), emits })
    }
}

impl Listener {
    /// Where it binds, by who sees it: where it is said, or else at every address of the families that a proxy has. And the port,
    /// which is where the Service of a manual deployment leads.
    fn binds(&self, view: &View<'_>, row: &GatewayRow) -> Vec<(Scope, Bind, u16)> {
        let scope = Scope::gateway(&self.gateway.name.namespace, &self.gateway.name.name);
        let said = view.relation(Relation::Bind(self.gateway.clone())).find_map(|fact| match fact {
            Fact::Bind(bind) => Some(bind.clone()),
            _ => None,
        });
        if let Some(bind) = said {
            let port = bind.port(self.port);
            return vec![(scope, bind, port)];
        }
        let bound = match &row.manual {
            Some(service) => manual::bound(&manual::ways(view, service, row), self.port),
            None => Some(self.port),
        };
        let Some(port) = bound.map(Port::get) else { return Vec::new() };
        // One family alone is bound by proxies of IPv4, whose machines may have no other.
        let both = (view.count(Relation::GatewaysOnIpv6) > 0).then(|| (on_ipv6(&scope), Bind::dual_stack(), port));
        [(scope, Bind::ipv4(), port)].into_iter().chain(both).collect()
    }
}

/// The part of a Gateway's scope that its proxies with an IPv6 address see first.
pub fn on_ipv6(gateway: &Scope) -> Scope {
    gateway.variant("ipv6")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::world;
    use tombolo_api::Kind;
    use tombolo_core::{NamespacedName, SourceId};
    use tombolo_proto::envoy::envoy::config::core::v3::{Address, address};

    fn host(address: Option<&Address>) -> &str {
        match address.and_then(|address| address.address.as_ref()) {
            Some(address::Address::SocketAddress(socket)) => &socket.address,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn proxies_with_an_ipv6_address_bind_both_families_and_others_one() {
        let mut world = world(
            "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge, namespace: infra}, \
             spec: {gatewayClassName: tombolo, listeners: [{name: h, port: 80, protocol: HTTP}]}}",
        );
        let (one, both) = (Scope::gateway("infra", "edge"), on_ipv6(&Scope::gateway("infra", "edge")));
        let scopes = |first: &Scope| [first.clone(), one.clone()];
        let bound = |world: &crate::testing::World, scopes: &[Scope]| {
            let listener = world.listener(scopes, "0.0.0.0_80").unwrap();
            let also = listener.additional_addresses.iter().map(|also| host(also.address.as_ref()).to_owned());
            [host(listener.address.as_ref()).to_owned()].into_iter().chain(also).collect::<Vec<_>>()
        };
        assert_eq!(bound(&world, &scopes(&both)), ["0.0.0.0"], "nobody has such an address");
        world.insert(vec![(Relation::GatewaysOnIpv6, Fact::Unit)]);
        assert_eq!(bound(&world, &scopes(&both)), ["0.0.0.0", "::"]);
        assert_eq!(bound(&world, &scopes(&one)), ["0.0.0.0"]);
        let name = NamespacedName::new("infra", "edge");
        let key = ObjectKey { source: SourceId::new("test"), kind: Kind::Gateway, name };
        world.insert(vec![(Relation::Bind(key), Fact::Bind(Bind::loopback(0)))]);
        let listeners = world.seen(&scopes(&both), tombolo_proto::ResourceType::Listener);
        assert_eq!(listeners.into_keys().collect::<Vec<_>>(), ["127.0.0.1_80".into()], "where it is said");
    }
}
