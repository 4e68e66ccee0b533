//! What workload proxies listen for: each port of HTTP services, and the addresses of all others.

use super::{
    Definition, HostRow, Service, ServicePort, Source, address::network, claims::claimants, settings, variant::captured,
};
use crate::{
    engine::{Built, Emits, Fact, Relation, Unit, View},
    envoy,
    ir::{Outbound, OutboundChain, OutboundMatch, OutboundTarget, Protocol},
    names,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};
use tombolo_api::{ObjectKey, istio::Resolution};
use tombolo_core::{FieldPath, Port, Problem};
use tombolo_proto::Scope;

/// What sidecars of a scope listen for at an address and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressListener {
    /// The scope.
    pub scope: Scope,
    /// The address; empty for every one that has no listener of its own.
    pub address: Arc<str>,
    /// The port.
    pub port: Port,
}

/// A service's port at the address.
struct Member<'a> {
    row: &'a HostRow,
    definition: &'a Definition,
    port: &'a ServicePort,
    /// The object that decides about it.
    owner: &'a ObjectKey,
}

impl Unit for AddressListener {
    type Output = ();
    const RANK: u8 = 12;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        let facts = self.facts(view)?;
        let http = facts.contains(&Fact::Unit);
        let members: Vec<Member<'_>> = claimants(view, facts.into_iter())
            .into_iter()
            .filter_map(|(row, definition)| {
                let (port, owner) = (definition.port(self.port)?, definition.owners.first()?);
                Some(Member { row, definition, port, owner })
            })
            .collect();
        let mut emits = Emits::default();
        let listener = match self.address.parse::<IpAddr>() {
            Ok(address) => self.of_address(address, &members, &mut emits),
            Err(_) => Some(self.of_port(view, http, &members, &mut emits)),
        };
        if let Some(listener) = listener {
            let access_log = &settings(view).access_log;
            emits.resource(captured(&self.scope), Arc::new(envoy::outbound(&listener, access_log.as_ref())));
        }
        Some(Built { output: (), emits })
    }
}

impl AddressListener {
    /// Who is reached here: what the scope states, and for a namespace also what all see, unless the namespace sees another
    /// definition of that. `None` where the scope itself states nothing.
    fn facts<'a>(&self, view: &View<'a>) -> Option<BTreeSet<&'a Fact>> {
        let of = |scope: Scope| view.relation(Relation::SidecarAddress(scope, self.address.clone(), self.port));
        let mut facts: BTreeSet<&Fact> = of(self.scope.clone()).collect();
        if facts.is_empty() {
            return None;
        }
        if let Some(namespace) = self.namespace() {
            facts.extend(of(Scope::public()).filter(|fact| match fact {
                Fact::Service { host, namespace: of } => {
                    let row = view.unit(&Service(host.clone()));
                    row.and_then(|row| row.seen_by(namespace)).is_some_and(|seen| seen.namespace == *of)
                }
                _ => true,
            }));
        }
        Some(facts)
    }

    /// The namespace whose sidecars alone have this listener.
    fn namespace(&self) -> Option<&str> {
        self.scope.as_str().strip_prefix("namespace/")
    }

    /// All connections to the address go to the strongest service that has it.
    fn of_address(&self, address: IpAddr, members: &[Member<'_>], emits: &mut Emits) -> Option<Outbound> {
        let (first, others) = members.split_first()?;
        let at = format!("at {address}");
        emits.problems.extend(others.iter().map(|other| self.lost(other, &first.owner.to_string(), &at)));
        Some(Outbound { address: Some(address), port: self.port, chains: Vec::new(), otherwise: first.target() })
    }

    /// HTTP goes by its route table; TLS by the name that is asked for; what has a network by that. All else goes to the one
    /// service that has nothing of that, or on as if there were no listener.
    fn of_port(&self, view: &View<'_>, http: bool, members: &[Member<'_>], emits: &mut Emits) -> Outbound {
        let mut chains: BTreeMap<OutboundMatch, &Member<'_>> = BTreeMap::new();
        let mut others: Option<&Member<'_>> = None;
        for member in members {
            let matches = member.matches();
            let told_apart = !matches.is_empty();
            for network in matches {
                match chains.get(&network) {
                    None => drop(chains.insert(network, member)),
                    Some(first) => {
                        emits.problems.push(self.lost(member, &first.owner.to_string(), "in the same network"));
                    }
                }
            }
            match others {
                _ if told_apart => {}
                // It is reached at that.
                _ if !member.definition.allocated().is_empty() && (http || others.is_some()) => {}
                _ if http => emits.problems.push(self.lost(member, "HTTP", "at every address")),
                None => others = Some(member),
                Some(first) if first.target() == member.target() => {}
                Some(first) => emits.problems.push(self.lost(member, &first.owner.to_string(), "at every address")),
            }
        }
        let chain = |(matches, member): (_, &Member<'_>)| OutboundChain { matches, target: member.target() };
        let unknown = envoy::unknown(settings(view).outbound_traffic);
        Outbound {
            address: None,
            port: self.port,
            chains: chains.into_iter().map(chain).collect(),
            otherwise: match (http, others) {
                (true, _) => OutboundTarget::Table(self.port.to_string()),
                (false, Some(member)) => member.target(),
                (false, None) => OutboundTarget::Cluster { name: unknown.to_owned(), client_affinity: false },
            },
        }
    }

    /// A service that sidecars do not reach here, because something stronger is.
    fn lost(&self, member: &Member<'_>, winner: &str, place: &str) -> Problem {
        let whom = self.namespace().map(|namespace| format!(" of namespace {namespace}")).unwrap_or_default();
        let message =
            format!("sidecars{whom} do not reach port {} of {}: {winner} is {place}", self.port, member.row.host);
        let field = match member.definition.source {
            Source::Entry(_) => "spec.addresses",
            Source::Kubernetes | Source::ExternalName => "spec.ports",
        };
        Problem::warning(member.owner.reference(), FieldPath::from(field), "PortConflict", message)
            .fix("give the service an address of its own, or another port")
    }
}

impl Member<'_> {
    /// Where its connections go. A headless Service's clients have chosen the endpoint: they go there, even where what is
    /// unknown may not, since endpoints change too fast to have a listener each.
    fn target(&self) -> OutboundTarget {
        if self.definition.is_headless() {
            return OutboundTarget::Cluster { name: names::PASSTHROUGH.to_owned(), client_affinity: false };
        }
        let name = names::cluster(&self.row.host, self.port.port);
        match self.definition.source {
            Source::Entry(Resolution::DynamicDns) => OutboundTarget::Dynamic { name, port: self.port.port },
            _ => OutboundTarget::Cluster { name, client_affinity: self.definition.client_affinity },
        }
    }

    /// What tells its connections apart from others to the port; nothing where nothing does.
    fn matches(&self) -> Vec<OutboundMatch> {
        let addressed = !self.definition.addresses.is_empty();
        if self.port.protocol == Protocol::Tls && !addressed && !self.definition.is_headless() {
            return vec![OutboundMatch::ServerName(self.row.host.clone())];
        }
        let networks = self.definition.addresses.iter().filter_map(|address| network(address));
        networks.map(|(ip, bits)| OutboundMatch::Network(ip, bits)).collect()
    }
}
