//! One Envoy for each Gateway that is accepted: started, kept, and stopped with it.

use super::{
    addresses::Addresses,
    keeper::{Keeper, Listening, Settings},
    records::{Record, Records},
};
use crate::terminal;
use std::{collections::BTreeMap, future::Future, sync::Arc};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tombolo_api::{
    Kind,
    gateway::{Gateway, Protocol},
};
use tombolo_controlplane::{Applied, ControlPlane, Stopped, World};
use tombolo_core::NamespacedName;
use tombolo_translate::status::Status;

/// Every Gateway's Envoy.
pub(crate) struct Gateways {
    plane: ControlPlane,
    records: Arc<Records>,
    addresses: Addresses,
    settings: Settings,
    running: BTreeMap<NamespacedName, Running>,
    /// Those whose Gateway is gone, while they finish.
    leaving: BTreeMap<NamespacedName, JoinHandle<()>>,
}

/// A Gateway whose Envoy is kept.
struct Running {
    listeners: watch::Sender<Vec<Listening>>,
    stop: CancellationToken,
    gone: CancellationToken,
    task: JoinHandle<()>,
}

/// The listeners of the Gateways that want an Envoy: name, port, scheme, host.
type Wanted = BTreeMap<NamespacedName, Vec<(String, tombolo_core::Port, &'static str, Option<String>)>>;

impl Gateways {
    pub(crate) fn new(plane: ControlPlane, records: Arc<Records>, addresses: Addresses, settings: Settings) -> Self {
        let (running, leaving) = Default::default();
        Self { plane, records, addresses, settings, running, leaving }
    }

    /// Follows the Gateways until `stop`, then stops every Envoy.
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

    /// Envoys that outlived the last run, of Gateways that are no more.
    fn end_strays(&mut self, wanted: &Wanted) {
        let records = self.records.all().unwrap_or_default();
        for record in records.into_iter().map(|record: Record| record.gateway()).filter(|g| !wanted.contains_key(g)) {
            self.start(record.clone(), Vec::new());
            self.end(&record);
        }
    }

    async fn reconcile(&mut self, wanted: Wanted) -> Result<(), Stopped> {
        let gone: Vec<_> = self.running.keys().filter(|name| !wanted.contains_key(name)).cloned().collect();
        for name in gone {
            terminal::line(&format!("gateway {name}: gone; its Envoy finishes and stops"));
            self.end(&name);
        }
        self.leaving.retain(|_, task| !task.is_finished());
        for (name, listeners) in wanted {
            let bind = self.addresses.bind(&name);
            let listeners = listeners.into_iter().map(|(listener, port, scheme, host)| Listening {
                listener,
                asked: port.get(),
                bound: (bind.address, bind.port(port)).into(),
                scheme,
                host,
            });
            let listeners: Vec<_> = listeners.collect();
            if let Some(running) = self.running.get(&name) {
                running.listeners.send_if_modified(|old| std::mem::replace(old, listeners.clone()) != listeners);
                continue;
            }
            // Known before its Envoy asks for it.
            self.plane.learn(vec![self.addresses.fact(&name, bind)]).await?;
            self.start(name, listeners);
        }
        Ok(())
    }

    fn start(&mut self, gateway: NamespacedName, listening: Vec<Listening>) {
        let (listeners, receiver) = watch::channel(listening);
        let (stop, gone) = (CancellationToken::new(), CancellationToken::new());
        let keeper = Keeper {
            gateway: gateway.clone(),
            address: self.addresses.bind(&gateway).address,
            records: self.records.clone(),
            settings: self.settings.clone(),
            listeners: receiver,
            stop: stop.clone(),
            gone: gone.clone(),
        };
        let before = self.leaving.remove(&gateway);
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                _ = before.await;
            }
            keeper.run().await;
        });
        self.running.insert(gateway, Running { listeners, stop, gone, task });
    }

    fn end(&mut self, gateway: &NamespacedName) {
        if let Some(running) = self.running.remove(gateway) {
            running.gone.cancel();
            running.stop.cancel();
            self.leaving.insert(gateway.clone(), running.task);
        }
    }
}

fn concerns(event: &Applied) -> bool {
    let statuses = event.statuses.iter().any(|key| key.kind == Kind::Gateway);
    statuses || event.objects.iter().any(|(key, _)| key.kind == Kind::Gateway)
}

/// The Gateways of our classes that are accepted.
fn wanted(world: &World) -> Wanted {
    let accepted = |status: &Status| match status {
        Status::Gateway(gateway) => gateway.conditions.iter().any(|c| c.kind == "Accepted" && c.status),
        _ => false,
    };
    let ours = world.statuses().filter(|(key, timed)| key.kind == Kind::Gateway && accepted(timed.status()));
    let gateways = ours.filter_map(|(key, _)| Some((key.name.clone(), world.snapshot().get::<Gateway>(key)?)));
    gateways
        .map(|(name, gateway)| {
            let listeners = gateway.listeners.iter().filter_map(|listener| {
                let scheme = match listener.protocol {
                    Protocol::Http => "http",
                    Protocol::Https => "https",
                    _ => return None,
                };
                let host = listener.hostname.as_ref().map(ToString::to_string);
                Some((listener.name.to_string(), listener.port, scheme, host))
            });
            (name, listeners.collect())
        })
        .collect()
}
