//! What must be remembered, in a Secret: made once, followed by every replica, changed by the one that writes.
//!
//! Reading is from memory, which a watch keeps current. Writing names the version that it is based on, so that of two who
//! write at once one succeeds; the other reads again.

use super::version::is_newer;
use crate::{metrics::WatchMetrics, watched::Watched};
use futures::StreamExt;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    runtime::watcher,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::watch, time::timeout};
use tombolo_controlplane::{Store, StoreError};

const MANAGER: &str = "tombolo-writer";
/// A write that takes longer has failed, as far as its caller is concerned.
const LIMIT: Duration = Duration::from_secs(10);
/// Before the API server is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// A Secret as last seen. It does not print.
#[derive(Clone, Default)]
struct Image {
    version: String,
    data: BTreeMap<String, ByteString>,
}

/// A [`Store`] in one Secret. Writing waits for the API server, so it needs a runtime of several threads.
pub(super) struct KubeStore {
    api: Api<Secret>,
    namespace: String,
    name: String,
    runtime: Handle,
    /// `None` while there is no such Secret.
    image: watch::Sender<Option<Image>>,
    told: watch::Sender<()>,
    writer: watch::Receiver<bool>,
}

impl KubeStore {
    /// Reads the Secret, as often as it takes, and follows it from then on.
    pub(super) async fn open(
        client: Client,
        namespace: &str,
        name: &str,
        writer: watch::Receiver<bool>,
        metrics: &WatchMetrics,
    ) -> anyhow::Result<Arc<Self>> {
        let api = Api::<Secret>::namespaced(client, namespace);
        let mut said = false;
        let secret = loop {
            match api.get_opt(name).await {
                Ok(secret) => break secret,
                Err(error) if !std::mem::replace(&mut said, true) => {
                    tracing::warn!(
                        "Secret {namespace}/{name}, which keeps the root, cannot be read, trying again: {error}"
                    );
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        };
        let (namespace, name, runtime) = (namespace.to_owned(), name.to_owned(), Handle::current());
        let image = watch::Sender::new(secret.map(Image::of));
        let store = Arc::new(Self { api, namespace, name, runtime, image, told: watch::Sender::new(()), writer });
        tokio::spawn(follow(store.clone(), Watched::new(metrics, "Secret", "root")));
        Ok(store)
    }

    /// Takes in what was seen, unless something newer was.
    fn see(&self, secret: Secret) {
        let seen = Image::of(secret);
        let news = self.image.send_if_modified(|image| {
            let news = image
                .as_ref()
                .is_none_or(|image| image.version != seen.version && !is_newer(&image.version, &seen.version));
            if news {
                *image = Some(seen);
            }
            news
        });
        if news {
            self.told.send_replace(());
        }
    }

    /// There is none any more.
    fn miss(&self) {
        if self.image.send_replace(None).is_some() {
            self.told.send_replace(());
        }
    }

    /// Writes one key, or removes it, and waits for the API server meanwhile.
    fn put(&self, what: &'static str, key: &str, value: Option<&[u8]>) -> Result<(), StoreError> {
        let base = self.image.borrow().as_ref().map(|image| image.version.clone());
        let data = json!({ (key): value.map(|value| ByteString(value.to_vec())) });
        let written = self.wait(async {
            match &base {
                Some(version) => {
                    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "data": data}));
                    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
                    self.api.patch(&self.name, &params, &patch).await
                }
                None => {
                    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
                    self.api.create(&params, &self.fresh(&data)?).await
                }
            }
        });
        match written {
            Ok(Ok(secret)) => {
                self.see(secret);
                Ok(())
            }
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                self.look_again();
                Err(StoreError::Conflict(self.place(key)))
            }
            Ok(Err(error)) => Err(self.failed(what, key, error.into())),
            Err(late) => Err(self.failed(what, key, late.into())),
        }
    }

    /// The Secret as it is made. It belongs to nobody: what hangs on the root outlives an installation.
    fn fresh(&self, data: &Value) -> kube::Result<Secret> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": self.name, "namespace": self.namespace,
                "labels": {"app.kubernetes.io/managed-by": "tombolo", "app.kubernetes.io/part-of": "tombolo"},
            },
            "data": data,
        });
        serde_json::from_value(secret).map_err(kube::Error::SerdeError)
    }

    fn look_again(&self) {
        match self.wait(self.api.get_opt(&self.name)) {
            Ok(Ok(Some(secret))) => self.see(secret),
            Ok(Ok(None)) => self.miss(),
            // The watch tells.
            Ok(Err(_)) | Err(_) => {}
        }
    }

    fn wait<T>(&self, request: impl Future<Output = T>) -> Result<T, tokio::time::error::Elapsed> {
        tokio::task::block_in_place(|| self.runtime.block_on(async { timeout(LIMIT, request).await }))
    }

    fn place(&self, key: &str) -> String {
        format!("{key} of Secret {}/{}", self.namespace, self.name)
    }

    fn failed(&self, what: &'static str, key: &str, source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
        StoreError::Failed { what, place: self.place(key), source }
    }
}

impl Store for KubeStore {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.image.borrow().as_ref().and_then(|image| image.data.get(name)).map(|value| value.0.clone()))
    }

    fn write(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        if self.read(name)?.as_deref() == Some(value) {
            return Ok(());
        }
        self.put("write", name, Some(value))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        if self.read(name)?.is_none() { Ok(()) } else { self.put("remove", name, None) }
    }

    fn is_ours(&self) -> bool {
        *self.writer.borrow()
    }

    fn changes(&self) -> Option<watch::Receiver<()>> {
        Some(self.told.subscribe())
    }
}

impl Image {
    fn of(secret: Secret) -> Self {
        let version = secret.metadata.resource_version.unwrap_or_default();
        Self { version, data: secret.data.unwrap_or_default() }
    }
}

async fn follow(store: Arc<KubeStore>, watched: Watched) {
    let config = watcher::Config::default().fields(&format!("metadata.name={}", store.name));
    let mut events = pin!(watched.events(tombolo_kubernetes::watch::events(store.api.clone(), config)));
    let mut listed = false;
    while let Some(event) = events.next().await {
        match event {
            watcher::Event::Init => listed = false,
            watcher::Event::InitApply(secret) => {
                listed = true;
                store.see(secret);
            }
            watcher::Event::InitDone if !listed => store.miss(),
            watcher::Event::InitDone => {}
            watcher::Event::Apply(secret) => store.see(secret),
            watcher::Event::Delete(_) => store.miss(),
        }
    }
}
