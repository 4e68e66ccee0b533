//! Whom the mesh trusts: its roots, its trust domains, and the identities behind a service's port.

use super::settings;
use crate::{
    engine::{Built, Emits, Fact, Relation, ServicePortKey, Unit, View},
    envoy,
    ir::{About, Endpoint},
    names,
};
use std::{collections::BTreeSet, sync::Arc};
use tombolo_core::{SpiffeId, TrustDomain};
use tombolo_proto::{Part, Resource};

/// Whose identity a workload has that names none, as in Kubernetes.
pub(super) const DEFAULT_SERVICE_ACCOUNT: &str = "default";

/// The roots that the mesh trusts. There without any, proxies have no certificates, and nothing speaks the mesh's mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Trust;

/// Whom the mesh trusts.
#[derive(Clone, Debug, PartialEq)]
pub struct Roots {
    /// The roots, as a part of every secret that says whose certificates are accepted.
    pub bundle: Arc<Part>,
    /// The mesh's own trust domain, that of the identities which are issued, and those that are trusted as if they were it; ordered.
    pub domains: BTreeSet<TrustDomain>,
}

impl Unit for Trust {
    type Output = Arc<Roots>;
    const RANK: u8 = 1;

    fn build(&self, view: &View<'_>) -> Option<Built<Self::Output>> {
        let bundles = view.relation(Relation::Trust).filter_map(|fact| match fact {
            Fact::Trust(pem) => Some(pem.trim()).filter(|pem| !pem.is_empty()),
            _ => None,
        });
        let pem: String = bundles.map(|pem| format!("{pem}\n")).collect();
        if pem.is_empty() {
            return None;
        }
        let mut emits = Emits::default();
        emits.fact(Relation::Rooted, Fact::Unit);
        Some(Built { output: Arc::new(Roots { bundle: Arc::new(envoy::roots(&pem)), domains: domains(view) }), emits })
    }
}

/// The trust domains of the settings; what is none was told about where it was read.
fn domains(view: &View<'_>) -> BTreeSet<TrustDomain> {
    let settings = settings(view);
    let own = TrustDomain::parse(&settings.trust_domain).unwrap_or_default();
    let aliases = settings.trust_domain_aliases.iter().filter_map(|alias| TrustDomain::parse(alias).ok());
    let issued = view.relation(Relation::Trust).filter_map(|fact| match fact {
        Fact::Name(domain) => TrustDomain::parse(domain).ok(),
        _ => None,
    });
    aliases.chain(issued).chain([own]).collect()
}

/// True where proxies have certificates. Stays as it is while roots change.
pub(super) fn is_rooted(view: &View<'_>) -> bool {
    view.count(Relation::Rooted) > 0
}

/// The secret that says who may answer for a service's port: the workloads with a proxy behind it, in every trust domain.
/// `None` without roots.
///
/// All of them for each endpoint, as Envoy has it: whoever may serve the port at one address may at another. Where no identity
/// is known nobody may answer: Envoy takes an empty list to mean everybody.
pub(super) fn identities(view: &View<'_>, key: &ServicePortKey, endpoints: &[Endpoint]) -> Option<Arc<Resource>> {
    let roots = view.unit(&Trust)?;
    let proxied = endpoints.iter().map(|endpoint| &endpoint.about).filter(|about| about.proxied);
    let accounts: BTreeSet<(&str, &str)> = proxied.map(account).collect();
    let in_domains = |(namespace, account)| roots.domains.iter().filter_map(move |d| identity(d, namespace, account));
    let identities: BTreeSet<String> = accounts.into_iter().flat_map(in_domains).map(|id| id.to_string()).collect();
    let name = names::identities(&key.host, key.port);
    Some(Arc::new(envoy::identities(&name, &roots.bundle, &identities)))
}

fn account(about: &About) -> (&str, &str) {
    let account = &*about.service_account;
    (&about.namespace, if account.is_empty() { DEFAULT_SERVICE_ACCOUNT } else { account })
}

/// `None` where no certificate can say so: a namespace or an account that SPIFFE has no place for.
fn identity(domain: &TrustDomain, namespace: &str, service_account: &str) -> Option<SpiffeId> {
    let id =
        SpiffeId { trust_domain: domain.clone(), namespace: namespace.into(), service_account: service_account.into() };
    id.to_string().parse().ok()
}
