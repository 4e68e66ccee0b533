//! What load balancers gave to Services: facts for translation, which says where Gateways are reached.

use crate::{metrics::WatchMetrics, watched::Watched};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    runtime::watcher::{self, Event},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tombolo_api::{Kind, ObjectKey};
use tombolo_controlplane::{ControlPlane, Stopped};
use tombolo_core::{NamespacedName, SourceId};
use tombolo_translate::engine::{Fact, Relation};

/// The Services that load balancers stand before, whoever made them.
const SELECTOR: &str = "spec.type=LoadBalancer";
/// Before the API server is asked again.
const PAUSE: Duration = Duration::from_secs(1);

type Addresses = BTreeSet<Arc<str>>;

/// What load balancers gave, by Service.
pub(crate) struct Ingress {
    client: Client,
    source: SourceId,
    known: HashMap<NamespacedName, Addresses>,
    listing: HashSet<NamespacedName>,
}

impl Ingress {
    /// Reads it, as often as that takes: without it, every Gateway would be said to have lost its address.
    pub(crate) async fn read(client: Client, source: SourceId) -> Self {
        let api = Api::<Service>::all(client.clone());
        let list = loop {
            match api.list(&ListParams::default().fields(SELECTOR)).await {
                Ok(list) => break list,
                Err(error) => tracing::warn!("the API server does not list Services, asking again: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        };
        let known = list.items.iter().map(|service| (name(service), addresses(service))).collect();
        Self { client, source, known, listing: HashSet::new() }
    }

    /// All of it.
    pub(crate) fn facts(&self) -> Vec<(Relation, Fact)> {
        let of = |(name, addresses): (&NamespacedName, &Addresses)| {
            let relation = self.relation(name);
            let fact = move |address: &Arc<str>| (relation.clone(), Fact::Name(address.clone()));
            addresses.iter().map(fact).collect::<Vec<_>>()
        };
        self.known.iter().flat_map(of).collect()
    }

    /// Keeps it current.
    pub(crate) async fn follow(mut self, plane: ControlPlane, metrics: &WatchMetrics) {
        let api = Api::<Service>::all(self.client.clone());
        let events = tombolo_kubernetes::watch::events(api, watcher::Config::default().fields(SELECTOR));
        let mut events = pin!(Watched::new(metrics, "Service", "load balancers").events(events));
        while let Some(event) = events.next().await {
            for name in self.take(event) {
                if self.tell(&plane, &name).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Takes an event in. Returns the Services that have other addresses now.
    fn take(&mut self, event: Event<Service>) -> Vec<NamespacedName> {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(service) => {
                self.listing.insert(name(&service));
                return self.see(&service).into_iter().collect();
            }
            Event::InitDone => {
                let gone: Vec<_> = self.known.keys().filter(|name| !self.listing.contains(*name)).cloned().collect();
                self.listing.clear();
                gone.iter().for_each(|name| drop(self.known.remove(name)));
                return gone;
            }
            Event::Apply(service) => return self.see(&service).into_iter().collect(),
            Event::Delete(service) => {
                let name = name(&service);
                return self.known.remove(&name).map(|_| name).into_iter().collect();
            }
        }
        Vec::new()
    }

    fn see(&mut self, service: &Service) -> Option<NamespacedName> {
        let (name, addresses) = (name(service), addresses(service));
        let before = self.known.insert(name.clone(), addresses.clone());
        (before != Some(addresses)).then_some(name)
    }

    async fn tell(&self, plane: &ControlPlane, name: &NamespacedName) -> Result<(), Stopped> {
        let addresses = self.known.get(name).into_iter().flatten();
        plane.replace(self.relation(name), addresses.map(|address| Fact::Name(address.clone())).collect()).await
    }

    fn relation(&self, name: &NamespacedName) -> Relation {
        Relation::Ingress(ObjectKey { source: self.source, kind: Kind::Service, name: name.clone() })
    }
}

fn name(service: &Service) -> NamespacedName {
    NamespacedName::new(service.namespace().unwrap_or_default(), service.name_any())
}

fn addresses(service: &Service) -> Addresses {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let given = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    let given = given.filter_map(|ingress| ingress.ip.as_deref().or(ingress.hostname.as_deref()));
    given.filter(|address| !address.is_empty()).map(Into::into).collect()
}
