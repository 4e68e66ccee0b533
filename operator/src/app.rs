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
    pages::{self, Pages},
    readiness::{self, Readiness},
    revision::Revision,
    tag::Tag,
    watched::{self, Watched},
};
use anyhow::Context as _;
use futures::StreamExt as _;
use kube::{
    Client, ResourceExt,
    api::DynamicObject,
    runtime::{
        Controller,
        controller::Config as ControllerConfig,
        reflector::{ObjectRef, Store},
    },
};
use prometheus_client::registry::Registry;
use std::{sync::Arc, time::Duration};
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
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let stop = CancellationToken::new();
    let told_to = stop.clone();
    tokio::spawn(async move {
        told.stop().await;
        told_to.cancel();
    });
    work(args, client, listener, stop).await;
    Ok(())
}

/// Shows what it does and does it, until it is told to stop: then what is under way is finished, and nothing new is begun.
async fn work(args: Args, client: Client, listener: TcpListener, stop: CancellationToken) {
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    tokio::spawn(pages::serve(listener, Pages { registry, readiness: readiness.clone() }));
    let mut namespaces = args.mesh_namespaces;
    namespaces.insert(0, args.namespace.clone());
    namespaces.dedup();
    let context = Arc::new(Context::new(client, args.identity.clone(), namespaces, args.registry, metrics));
    tokio::spawn(readiness::settle(context.clone(), readiness, stop.clone()));
    leader::stand(context, &args.namespace, &args.identity, stop, lead).await;
}

/// Does what only one replica does, until it is told to stop.
async fn lead(context: Arc<Context>, stop: CancellationToken) {
    if settle_definitions(&context, &stop).await {
        control(&context, &stop).await;
    }
}

/// Watches and reconciles.
pub(crate) async fn control(context: &Arc<Context>, stop: &CancellationToken) {
    let revisions = revisions(context);
    let known_revisions = revisions.store();
    let tags = tags(context);
    let installations = installations(context);
    tokio::join!(
        drive::<Installation>(installations, context, stop),
        drive::<Revision>(watch_tags(revisions, context, known_revisions), context, stop),
        drive::<Tag>(tags, context, stop),
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
    Controller::new_with(kind.objects(&context.client, ""), watched::all(kind).config(), kind.resource())
}

/// Watches objects that the operator made for those of a kind.
///
/// kube's own `owns` takes the owner of an object in a namespace for one in that namespace: ours have none, and would be
/// reconciled under two names at once.
fn owns(
    controller: Controller<DynamicObject>,
    owner: Kind,
    owned: impl Iterator<Item = Watched>,
    context: &Context,
) -> Controller<DynamicObject> {
    owned.fold(controller, |controller, watched| {
        watches(controller, watched, context, move |object| owners(object, owner))
    })
}

/// Watches other objects, given whom each of them concerns.
fn watches(
    controller: Controller<DynamicObject>,
    watched: Watched,
    context: &Context,
    concerned: impl Fn(&DynamicObject) -> Vec<ObjectRef<DynamicObject>> + Clone + Send + Sync + 'static,
) -> Controller<DynamicObject> {
    watched.apis(context).into_iter().fold(controller, |controller, objects| {
        let concerned = concerned.clone();
        controller.watches_with(objects, watched.kind.resource(), watched.config(), move |object| concerned(&object))
    })
}

/// The owners of an object that are of a kind without namespaces.
fn owners(object: &DynamicObject, kind: Kind) -> Vec<ObjectRef<DynamicObject>> {
    let owners = object.owner_references().iter();
    let of_kind = owners.filter(|owner| owner.kind == kind.name && owner.api_version == kind.api_version());
    of_kind.map(|owner| ObjectRef::new_with(&owner.name, kind.resource())).collect()
}

fn installations(context: &Context) -> Controller<DynamicObject> {
    let controller = of(kinds::INSTALLATION, context);
    let controller = owns(controller, kinds::INSTALLATION, watched::for_installations(), context);
    let store = controller.store();
    // Ours may be changed, and the Gateway API's may come and go.
    let concerns = |definition: &DynamicObject| {
        let name = definition.name_any();
        [".mesh.tombolo.dev", ".networking.istio.io", ".gateway.networking.k8s.io"]
            .iter()
            .any(|group| name.ends_with(group))
    };
    watches(controller, watched::all(kinds::DEFINITION), context, move |definition| {
        if concerns(definition) { all(&store, kinds::INSTALLATION) } else { Vec::new() }
    })
}

fn all(store: &Store<DynamicObject>, kind: Kind) -> Vec<ObjectRef<DynamicObject>> {
    store.state().iter().map(|object| ObjectRef::from_obj_with(&**object, kind.resource())).collect()
}

fn revisions(context: &Context) -> Controller<DynamicObject> {
    owns(of(kinds::REVISION, context), kinds::REVISION, watched::for_revisions(), context)
}

/// Whether a revision is in use is a matter of tags.
fn watch_tags(
    controller: Controller<DynamicObject>,
    context: &Context,
    revisions: Store<DynamicObject>,
) -> Controller<DynamicObject> {
    // One that a tag named before is concerned too.
    watches(controller, watched::all(kinds::TAG), context, move |_tag| all(&revisions, kinds::REVISION))
}

/// Where a tag leads is a matter of revisions.
fn tags(context: &Context) -> Controller<DynamicObject> {
    let controller = owns(of(kinds::TAG, context), kinds::TAG, watched::for_tags(), context);
    let store = controller.store();
    watches(controller, watched::all(kinds::REVISION), context, move |revision| {
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
    use crate::scripted::{Api, Fails};
    use clap::Parser as _;
    use serde_json::json;
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    #[test]
    fn an_owner_without_a_namespace_has_none() {
        let owner = json!({"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": "MeshRevision", "name": "a", "uid": "1"});
        let object = json!({"metadata": {"name": "s", "namespace": "n", "ownerReferences": [owner]}});
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let expected = ObjectRef::new_with("a", kinds::REVISION.resource());
        assert_eq!(owners(&object, kinds::REVISION), [expected]);
        assert_eq!(owners(&object, kinds::TAG), []);
    }

    async fn page(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn until_ready_says(address: SocketAddr, expected: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let said = page(address, "/readyz").await;
            if said.contains(expected) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{expected} is not in {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn it_is_ready_once_the_api_server_has_answered_and_until_it_is_told_to_stop() {
        let (api, stop) = (Api::default(), CancellationToken::new());
        api.fail("", Fails::With(503));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let args = Args::parse_from(["tombolo-operator"]);
        let work = tokio::spawn(work(args, api.client(), listener, stop.clone()));
        until_ready_says(address, "cannot read CustomResourceDefinition").await;
        assert!(page(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(page(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        api.fail("/leases/", Fails::With(500)); // so that it does not lead
        api.recover("");
        until_ready_says(address, "HTTP/1.1 200").await;
        let asked = api.asked().len();
        api.fail("", Fails::With(503));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while api.asked().len() == asked {
            assert!(tokio::time::Instant::now() < deadline, "it does not ask for its Lease: {:#?}", api.asked());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(page(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        stop.cancel();
        until_ready_says(address, "told to stop").await;
        work.await.unwrap();
    }
}
