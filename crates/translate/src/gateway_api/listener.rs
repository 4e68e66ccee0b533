//! A port that a Gateway listens on.

use super::Gateway;
use crate::{
    engine::{Built, Emits, Fact, Relation, Unit, View},
    envoy::{self, Edge},
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
        let bind = view.relation(Relation::Bind(self.gateway.clone())).find_map(|fact| match fact {
            Fact::Bind(bind) => Some(bind.clone()),
            _ => None,
        });
        let settings = mesh::settings(view);
        let edge = Edge {
            bind: &bind.unwrap_or_default(),
            access_log: settings.access_log.as_ref(),
            trusted_proxies: settings.gateways.num_trusted_proxies,
        };
        let listener = ir::Listener { port: self.port, chains };
        let mut emits = Emits::default();
        let scope = Scope::gateway(&self.gateway.name.namespace, &self.gateway.name.name);
        emits.resource(scope, Arc::new(envoy::listener(&listener, &edge)));
        Some(Built { output: Arc::new(listener), emits })
    }
}
