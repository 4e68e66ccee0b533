//! An agent's config stream.

use super::{DEADLINE, eventually, plane::Plane};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};
use tombolo_agent::stream::{Cache, ConfigStream, Handle, Limits, Report, Settings, Status, Subscription, Timing};
use tombolo_proto::envoy::envoy::config::core::v3::Node;

/// A config stream that runs until it is dropped.
pub struct Agent {
    pub handle: Handle,
    pub socket: PathBuf,
    pub health: watch::Sender<Option<Report>>,
    task: JoinHandle<()>,
}

impl Agent {
    /// Starts one whose state is in a directory.
    pub fn start(directory: &Path, plane: &Plane) -> Self {
        Self::with(directory, plane, Vec::new())
    }

    /// ... that asks for types of its own.
    pub fn with(directory: &Path, plane: &Plane, own: Vec<Subscription>) -> Self {
        let socket = directory.join("ads");
        let settings = Settings {
            socket: socket.clone(),
            cache: Some(Cache {
                directory: directory.join("state"),
                owner: "edge.shop".to_owned(),
                memory_backed: false,
            }),
            node: Node { id: "router~127.0.0.1~edge.shop~shop.svc.cluster.local".to_owned(), ..Node::default() },
            limits: Limits::default(),
            timing: Timing {
                backoff: (Duration::from_millis(20), Duration::from_millis(100)),
                settle: Duration::from_millis(200),
                silence: Duration::from_millis(400),
                sync: Duration::from_millis(20),
                ..Timing::default()
            },
        };
        let (health, reports) = watch::channel(None);
        let (stream, handle) = ConfigStream::new(settings, own, reports).unwrap();
        let task = tokio::spawn(stream.run(Arc::new(plane.clone())));
        Self { handle, socket, health, task }
    }

    /// Waits until a condition on the stream holds.
    pub async fn until(&self, what: &str, condition: impl Fn(&Status) -> bool) {
        let holds = || std::future::ready(condition(&self.handle.status()));
        eventually(what, holds, || self.dump()).await;
    }

    /// Ends it, as a killed process does.
    pub async fn kill(self) {
        self.task.abort();
        _ = tokio::time::timeout(DEADLINE, self.task).await;
    }

    /// How things stand.
    pub fn dump(&self) -> String {
        serde_json::to_string_pretty(&self.handle.status()).unwrap()
    }
}
