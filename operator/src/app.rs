//! Where the parts are put together: one function for each.

use crate::{
    args::Args,
    context::Context,
    controller::{self, Reconciler},
    definitions,
    installation::Installation,
    kinds::{self, Kind},
    leader,
    metrics::Metrics,
    names,
    pages::{self, Pages},
    revision::Revision,
    tag::Tag,
};
use anyhow::Context as _;
use futures::StreamExt as _;
use kube::{
    Api, ResourceExt,
    api::DynamicObject,
    runtime::{
        Controller,
        controller::Config as ControllerConfig,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use prometheus_client::registry::Registry;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tombolo_api::mesh::MeshRevisionTag;
use tombolo_kubernetes::{
    program::{self, Told},
    watch::WatchBackoff,
};

/// Several changes at once are one reconciliation.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Reconciles until it is told to stop.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    program::log();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(Box::pin(serve(args)))
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let mut told = Told::new()?;
    let client = program::client(args.kubeconfig.as_deref()).await?;
    let (metrics, ready, stop) = (Metrics::default(), Arc::new(AtomicBool::new(false)), CancellationToken::new());
    serve_pages(&args, &metrics, ready.clone()).await?;
    let mut namespaces = args.mesh_namespaces.clone();
    namespaces.insert(0, args.namespace.clone());
    namespaces.dedup();
    let context = Arc::new(Context::new(client, args.identity.clone(), namespaces, args.registry, metrics));
    ready.store(true, Ordering::Relaxed);
    let told_to = stop.clone();
    // What is under way is finished; nothing new is begun.
    tokio::spawn(async move {
        told.stop().await;
        ready.store(false, Ordering::Relaxed);
        told_to.cancel();
    });
    leader::stand(context, &args.namespace, &args.identity, stop, lead).await;
    Ok(())
}

async fn serve_pages(args: &Args, metrics: &Metrics, ready: Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    tokio::spawn(pages::serve(listener, Pages { registry, ready }));
    Ok(())
}

/// Does what only one replica does, until it is told to stop.
async fn lead(context: Arc<Context>, stop: CancellationToken) {
    if !settle_definitions(&context, &stop).await {
        return;
    }
    let revisions = revisions(&context);
    let known_revisions = revisions.store();
    let tags = tags(&context);
    let installations = installations(&context);
    tokio::join!(
        drive::<Installation>(installations, &context, &stop),
        drive::<Revision>(watch_tags(revisions, &context, known_revisions), &context, &stop),
        drive::<Tag>(tags, &context, &stop),
    );
}

/// Nothing of ours can be watched before it is defined.
async fn settle_definitions(context: &Context, stop: &CancellationToken) -> bool {
    let mut failures = 0;
    while let Err(failure) = definitions::settle(context).await {
        tracing::warn!(reason = failure.reason, "{failure}");
        context.metrics.failed(kinds::DEFINITION, failure.reason);
        let pause = failure.delay(failures).unwrap_or(Duration::from_secs(60));
        failures += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return false,
        }
    }
    true
}

async fn drive<R: Reconciler>(controller: Controller<DynamicObject>, context: &Arc<Context>, stop: &CancellationToken) {
    let results = controller
        .with_config(ControllerConfig::default().debounce(DEBOUNCE).concurrency(4))
        // All watches of a controller wait for one that failed, so that it is not to be long.
        .trigger_backoff(WatchBackoff::default())
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(controller::reconcile::<R>, controller::on_failure::<R>, context.clone());
    results
        .for_each(|result| {
            // Failures of reconciliations are told where they are handled.
            if let Err(error @ kube::runtime::controller::Error::QueueError(_)) = result {
                tracing::warn!(kind = R::KIND.name, "cannot watch: {error}");
            }
            std::future::ready(())
        })
        .await;
}

fn of(kind: Kind, context: &Context) -> Controller<DynamicObject> {
    Controller::new_with(kind.objects(&context.client, ""), watcher::Config::default(), kind.resource())
}

/// Watches the objects of a kind that the operator made for those of another.
///
/// kube's own `owns` takes the owner of an object in a namespace for one in that namespace: ours have none, and would be
/// reconciled under two names at once.
fn owns(
    controller: Controller<DynamicObject>,
    owner: Kind,
    kind: Kind,
    namespaces: &[String],
    context: &Context,
) -> Controller<DynamicObject> {
    let ours = watcher::Config::default().labels(&format!("{}={}", names::MANAGED_BY, names::MANAGER));
    owns_selected(controller, owner, kind, &ours, namespaces, context)
}

/// The same of some objects only, whose permissions may be of those only.
fn owns_selected(
    controller: Controller<DynamicObject>,
    owner: Kind,
    kind: Kind,
    selected: &watcher::Config,
    namespaces: &[String],
    context: &Context,
) -> Controller<DynamicObject> {
    let everywhere = [String::new()];
    let namespaces = if kind.namespaced { namespaces } else { &everywhere };
    namespaces.iter().fold(controller, |controller, namespace| {
        let objects = kind.objects(&context.client, namespace);
        controller.watches_with(objects, kind.resource(), selected.clone(), move |object| owners(&object, owner))
    })
}

/// The owners of an object that are of a kind without namespaces.
fn owners(object: &DynamicObject, kind: Kind) -> Vec<ObjectRef<DynamicObject>> {
    let owners = object.owner_references().iter();
    let of_kind = owners.filter(|owner| owner.kind == kind.name && owner.api_version == kind.api_version());
    of_kind.map(|owner| ObjectRef::new_with(&owner.name, kind.resource())).collect()
}

fn installations(context: &Context) -> Controller<DynamicObject> {
    let mut controller = of(kinds::INSTALLATION, context);
    for kind in [kinds::REVISION, kinds::TAG, kinds::GATEWAY_CLASS] {
        controller = owns(controller, kinds::INSTALLATION, kind, &context.namespaces, context);
    }
    let store = controller.store();
    // Ours may be changed, and the Gateway API's may come and go.
    let definitions: Api<DynamicObject> = kinds::DEFINITION.objects(&context.client, "");
    let concerns = |definition: &DynamicObject| {
        let name = definition.name_any();
        [".mesh.tombolo.dev", ".networking.istio.io", ".gateway.networking.k8s.io"]
            .iter()
            .any(|group| name.ends_with(group))
    };
    controller.watches_with(definitions, kinds::DEFINITION.resource(), watcher::Config::default(), move |definition| {
        if concerns(&definition) { all(&store) } else { Vec::new() }
    })
}

fn all(store: &Store<DynamicObject>) -> Vec<ObjectRef<DynamicObject>> {
    store.state().iter().map(|object| ObjectRef::from_obj_with(&**object, kinds::INSTALLATION.resource())).collect()
}

fn revisions(context: &Context) -> Controller<DynamicObject> {
    let controller = of(kinds::REVISION, context);
    kinds::OF_REVISION
        .into_iter()
        .fold(controller, |controller, kind| owns(controller, kinds::REVISION, kind, &context.namespaces, context))
}

/// Whether a revision is in use is a matter of tags.
fn watch_tags(
    controller: Controller<DynamicObject>,
    context: &Context,
    revisions: Store<DynamicObject>,
) -> Controller<DynamicObject> {
    let tags = kinds::TAG.objects(&context.client, "");
    controller.watches_with(tags, kinds::TAG.resource(), watcher::Config::default(), move |_tag| {
        // One that it named before is concerned too.
        let named = |object: &Arc<DynamicObject>| ObjectRef::from_obj_with(&**object, kinds::REVISION.resource());
        revisions.state().iter().map(named).collect::<Vec<_>>()
    })
}

/// Where a tag leads is a matter of revisions.
fn tags(context: &Context) -> Controller<DynamicObject> {
    let mut controller = of(kinds::TAG, context);
    for kind in [kinds::SERVICE, kinds::VALIDATING_WEBHOOK] {
        controller = owns(controller, kinds::TAG, kind, &context.namespaces, context);
    }
    let secret = watcher::Config::default().fields(&format!("metadata.name={}", names::WEBHOOK_SECRET));
    let controller = owns_selected(controller, kinds::TAG, kinds::SECRET, &secret, &context.namespaces, context);
    let store = controller.store();
    let revisions = kinds::REVISION.objects(&context.client, "");
    controller.watches_with(revisions, kinds::REVISION.resource(), watcher::Config::default(), move |revision| {
        let names_it = |tag: &&Arc<DynamicObject>| {
            let spec =
                tag.data.get("spec").cloned().and_then(|spec| serde_json::from_value::<MeshRevisionTag>(spec).ok());
            spec.is_some_and(|spec| spec.targets.iter().any(|target| *target.revision == *revision.name_any()))
        };
        let named = |tag: &Arc<DynamicObject>| ObjectRef::from_obj_with(&**tag, kinds::TAG.resource());
        store.state().iter().filter(names_it).map(named).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_owner_without_a_namespace_has_none() {
        let owner = json!({"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": "MeshRevision", "name": "a", "uid": "1"});
        let object = json!({"metadata": {"name": "s", "namespace": "n", "ownerReferences": [owner]}});
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let expected = ObjectRef::new_with("a", kinds::REVISION.resource());
        assert_eq!(owners(&object, kinds::REVISION), [expected]);
        assert_eq!(owners(&object, kinds::TAG), []);
    }
}
