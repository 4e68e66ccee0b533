//! One agent, with its Envoy, for each Gateway that is accepted and each workload that asks for one: started, kept, and stopped with it.

use super::{
    addresses::Addresses,
    keeper::{Keeper, Settings},
    listening::Listening,
    records::{ProxyName, Record, Records},
    wanted::{Place, Wanted, Wish, wanted},
};
use crate::terminal;
use std::{collections::BTreeMap, future::Future, net::IpAddr, sync::Arc};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tombolo_api::{Kind, istio::ReadinessProbe};
use tombolo_controlplane::{Applied, ControlPlane, Stopped};
use tombolo_core::NamespacedName;

/// Every proxy's agent.
pub(crate) struct Proxies {
    plane: ControlPlane,
    records: Arc<Records>,
    addresses: Addresses,
    settings: Settings,
    running: BTreeMap<ProxyName, Running>,
    /// Those that are gone, while they finish.
    leaving: BTreeMap<ProxyName, JoinHandle<()>>,
}

/// A proxy whose agent is kept.
struct Running {
    terms: Terms,
    listeners: watch::Sender<Vec<Listening>>,
    stop: CancellationToken,
    gone: CancellationToken,
    task: JoinHandle<()>,
}

/// What an agent is started with: where terms differ, another one is needed.
#[derive(Clone, PartialEq)]
struct Terms {
    address: IpAddr,
    service_account: String,
    probe: Option<Arc<ReadinessProbe>>,
}

impl Proxies {
    pub(crate) fn new(plane: ControlPlane, records: Arc<Records>, addresses: Addresses, settings: Settings) -> Self {
        let (running, leaving) = Default::default();
        Self { plane, records, addresses, settings, running, leaving }
    }

    /// Follows what is wanted until `stop`, then stops every proxy.
    pub(crate) async fn run(mut self, stop: impl Future) {
        let stopped = async {
            self.follow().await;
        };
        tokio::select! {
            _ = stop => terminal::line("stopping: Envoys finish what they are at"),
            () = stopped => {}
        }
        for running in self.running.values() {
            running.stop.cancel();
        }
        for task in self.running.into_values().map(|running| running.task).chain(self.leaving.into_values()) {
            _ = task.await; // a keeper's panic has been printed
        }
    }

    async fn follow(&mut self) {
        let mut events = self.plane.subscribe();
        self.plane.ready().await;
        let mut first = true;
        loop {
            let Ok(wanted) = self.plane.ask(wanted).await else { return };
            if std::mem::take(&mut first) {
                self.end_strays(&wanted);
            }
            if self.reconcile(wanted).await.is_err() {
                return;
            }
            loop {
                match events.recv().await {
                    Ok(event) if concerns(&event) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// Agents that outlived the last run, of proxies that are no more.
    fn end_strays(&mut self, wanted: &Wanted) {
        let records = self.records.all().unwrap_or_default();
        for Record { address, gateway, namespace, name, .. } in records {
            let name = NamespacedName::new(namespace, name);
            let proxy = if gateway { ProxyName::gateway(name) } else { ProxyName::workload(name) };
            if !wanted.contains_key(&proxy) {
                let terms = Terms { address, service_account: String::new(), probe: None };
                self.start(proxy.clone(), terms, Vec::new());
                self.end(&proxy);
            }
        }
    }

    async fn reconcile(&mut self, wanted: Wanted) -> Result<(), Stopped> {
        let gone: Vec<_> = self.running.keys().filter(|name| !wanted.contains_key(name)).cloned().collect();
        for proxy in gone {
            terminal::line(&format!("{proxy}: gone; its Envoy finishes and stops"));
            self.end(&proxy);
        }
        self.leaving.retain(|_, task| !task.is_finished());
        self.addresses.avoid(wanted.values().filter_map(|wish| wish.place.own()).collect());
        for (proxy, wish) in wanted {
            self.serve(proxy, wish).await?;
        }
        Ok(())
    }

    async fn serve(&mut self, proxy: ProxyName, wish: Wish) -> Result<(), Stopped> {
        let (address, listeners) = match wish.place {
            Place::Workload(address, listeners) => (address, listeners),
            Place::Gateway(listeners) => {
                let bind = self.addresses.bind(&proxy.name);
                let address = bind.address;
                let listeners = listeners.into_iter().map(|listener| listener.bound(&bind)).collect();
                // Known before its Envoy asks for it.
                self.plane.learn(vec![self.addresses.fact(&proxy.name, bind)]).await?;
                (address, listeners)
            }
        };
        let terms = Terms { address, service_account: wish.service_account, probe: wish.probe };
        if let Some(running) = self.running.get(&proxy) {
            if running.terms == terms {
                running.listeners.send_if_modified(|old| std::mem::replace(old, listeners.clone()) != listeners);
                return Ok(());
            }
            terminal::line(&format!(
                "{proxy}: its address, its ServiceAccount or its probe changed; replacing its agent"
            ));
            self.end(&proxy);
        }
        self.start(proxy, terms, listeners);
        Ok(())
    }

    fn start(&mut self, proxy: ProxyName, terms: Terms, listening: Vec<Listening>) {
        let (listeners, receiver) = watch::channel(listening);
        let (stop, gone) = (CancellationToken::new(), CancellationToken::new());
        let keeper = Keeper {
            proxy: proxy.clone(),
            service_account: terms.service_account.clone(),
            probe: terms.probe.clone(),
            address: terms.address,
            records: self.records.clone(),
            settings: self.settings.clone(),
            listeners: receiver,
            stop: stop.clone(),
            gone: gone.clone(),
        };
        let before = self.leaving.remove(&proxy);
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                _ = before.await;
            }
            keeper.run().await;
        });
        self.running.insert(proxy, Running { terms, listeners, stop, gone, task });
    }

    fn end(&mut self, proxy: &ProxyName) {
        if let Some(running) = self.running.remove(proxy) {
            running.gone.cancel();
            running.stop.cancel();
            self.leaving.insert(proxy.clone(), running.task);
        }
    }
}

/// Whether an event may change which proxies there are, or where they listen.
fn concerns(event: &Applied) -> bool {
    const KINDS: [Kind; 5] =
        [Kind::Gateway, Kind::WorkloadEntry, Kind::WorkloadGroup, Kind::ServiceEntry, Kind::Service];
    let statuses = event.statuses.iter().any(|key| key.kind == Kind::Gateway);
    statuses || event.objects.iter().any(|(key, _)| KINDS.contains(&key.kind))
}
