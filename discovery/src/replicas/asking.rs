//! What the proxies of other replicas reject: the replica that writes asks for it, as statuses tell it.

use super::Replicas;
use std::{convert::Infallible, time::Duration};
use tokio::{sync::watch, time::sleep};
use tombolo_controlplane::{ControlPlane, Elsewhere, Stopped};

/// Between two questions, about.
const PAUSE: Duration = Duration::from_secs(5);

/// Asks while this replica writes.
pub(crate) struct Asking {
    plane: ControlPlane,
    replicas: Replicas,
    /// Whether the others were asked since this replica writes.
    heard: watch::Sender<bool>,
}

impl Asking {
    /// For a control plane. Nobody is asked before [`Asking::run`].
    pub(crate) fn new(plane: ControlPlane, replicas: Replicas) -> Self {
        Self { plane, replicas, heard: watch::Sender::new(false) }
    }

    /// Whether the others were asked since this replica writes.
    pub(crate) fn heard(&self) -> watch::Receiver<bool> {
        self.heard.subscribe()
    }

    /// Asks while `writer` says so, until nobody can say so any more or the control plane stops.
    pub(crate) async fn run(self, mut writer: watch::Receiver<bool>) {
        self.plane.ready().await;
        while writer.wait_for(|held| *held).await.is_ok() {
            tokio::select! {
                biased;
                lost = writer.wait_for(|held| !*held) => if lost.is_err() { return },
                () = self.plane.stopped() => return,
                Err(Stopped) = self.ask() => return,
            }
            self.heard.send_replace(false);
            // Whoever writes now asks anew.
            if self.plane.rejected_elsewhere(Vec::new()).await.is_err() {
                return;
            }
        }
    }

    async fn ask(&self) -> Result<Infallible, Stopped> {
        let mut elsewhere = Elsewhere::default();
        self.replicas.read().await;
        loop {
            elsewhere.ask(&self.plane, &self.replicas.others()).await?;
            self.heard.send_replace(true);
            sleep(PAUSE.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
        }
    }
}
