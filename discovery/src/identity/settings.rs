//! The settings of this revision, as the one MeshInstallation that is there whatever the cluster says, and the Secret that they
//! name.

use crate::{args::Args, metrics::WatchMetrics, watched::Watched};
use anyhow::{Context, bail, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    runtime::watcher::{self, Event},
};
use serde_json::json;
use std::{fs, path::Path, pin::pin};
use tokio::runtime::Handle;
use tombolo_api::{AnyObject, Kind, ObjectKey, manifest};
use tombolo_controlplane::{Edit, ProvidedFiles, Sink, Source, Update};
use tombolo_core::{NamespacedName, SourceId};

/// A source: the installation, and the intermediate that was provided for it.
pub(crate) struct Settings {
    id: SourceId,
    client: Client,
    runtime: Handle,
    installation: AnyObject,
    /// The Secret with the provided intermediate, which need not be there.
    provided: NamespacedName,
    watches: WatchMetrics,
}

impl Settings {
    /// Reads the file that the command line names; the defaults where it names none.
    ///
    /// # Errors
    /// The file is not one MeshInstallation, or is for another namespace.
    pub(crate) fn read(args: &Args, client: Client, watches: WatchMetrics) -> anyhow::Result<Self> {
        let installation = match &args.settings {
            Some(file) => read(file)?,
            None => defaults(&args.namespace)?,
        };
        let AnyObject::MeshInstallation(object) = &installation else { bail!("not a MeshInstallation") };
        ensure!(
            *object.namespace == *args.namespace,
            "--settings are of namespace {}, and --namespace is {}: give both the same",
            object.namespace,
            args.namespace
        );
        let name = object.ca.secret_ref.as_ref().map_or(ProvidedFiles::DEFAULT_SECRET, |secret| &secret.name);
        let provided = NamespacedName::new(args.namespace.as_str(), name);
        Ok(Self { id: SourceId::new("settings"), client, runtime: Handle::current(), installation, provided, watches })
    }

    async fn tell(self, sink: &Sink) {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.provided.name));
        let secrets = Api::<Secret>::namespaced(self.client, &self.provided.namespace);
        let events = tombolo_kubernetes::watch::events(secrets, config);
        let mut events = pin!(Watched::new(&self.watches, "Secret", "intermediate").events(events));
        let mut provided =
            Provided { key: ObjectKey { source: self.id, kind: Kind::Secret, name: self.provided }, listed: false };
        let mut update = Update { edits: vec![Edit::Apply(self.installation, None)], ..Update::default() };
        while let Some(event) = events.next().await {
            provided.take(event, &mut update);
            // Nothing is said before the Secret was read, or is known not to be there.
            if !provided.listed {
                continue;
            }
            let update = std::mem::take(&mut update);
            if !update.is_empty() && tokio::task::block_in_place(|| sink.send(update)).is_err() {
                return;
            }
        }
    }
}

/// The Secret that is watched, and what is known of the watch.
struct Provided {
    key: ObjectKey,
    /// Whether a list is complete.
    listed: bool,
}

impl Provided {
    fn take(&mut self, event: Event<Secret>, update: &mut Update) {
        match event {
            Event::Init => {
                self.listed = false;
                // Gone, unless the list has it.
                update.edits.push(Edit::Delete(self.key.clone()));
            }
            Event::InitApply(secret) | Event::Apply(secret) => {
                update.edits.retain(|edit| !matches!(edit, Edit::Delete(_)));
                update.edits.extend(object(&secret).map(|object| Edit::Apply(object, None)));
            }
            Event::InitDone => (self.listed, update.synced) = (true, true),
            Event::Delete(_) => update.edits.push(Edit::Delete(self.key.clone())),
        }
    }
}

fn object(secret: &Secret) -> Option<AnyObject> {
    // Other things in it are nobody's mistake.
    manifest::decode_stored(serde_json::to_value(secret).ok()?).object
}

fn defaults(namespace: &str) -> anyhow::Result<AnyObject> {
    let document = json!({
        "apiVersion": Kind::MeshInstallation.api_version(), "kind": Kind::MeshInstallation.name(),
        "metadata": {"name": "default"}, "spec": {"namespace": namespace},
    });
    let decoded = manifest::decode(document, None);
    decoded.object.with_context(|| format!("--namespace {namespace} is not the name of a namespace"))
}

fn read(file: &Path) -> anyhow::Result<AnyObject> {
    let text = fs::read(file).with_context(|| format!("--settings {} cannot be read", file.display()))?;
    let content = manifest::read(&text, &file.display().to_string());
    let problems: Vec<_> = content.problems.iter().chain(content.decoded.iter().flat_map(|d| &d.problems)).collect();
    if let Some(problem) = problems.iter().find(|problem| problem.is_error()) {
        bail!("--settings {}: {problem}", file.display());
    }
    let mut objects = content.decoded.into_iter().filter_map(|decoded| decoded.object);
    match (objects.next(), objects.next()) {
        (Some(object), None) if object.kind() == Kind::MeshInstallation => Ok(object),
        _ => bail!("--settings {} must hold one MeshInstallation and nothing else", file.display()),
    }
}

impl Source for Settings {
    fn id(&self) -> SourceId {
        self.id
    }

    fn run(self: Box<Self>, sink: Sink) {
        let runtime = self.runtime.clone();
        // Whether it is over is looked at first: the runtime, and with it what is waited for, ends soon after.
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = sink.closed() => {}
                () = self.tell(&sink) => {}
            }
        });
    }
}
