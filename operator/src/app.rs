//! Where the parts are put together: one function for each.

use crate::{
    args::Args,
    context::Context,
    definitions,
    installation::Installation,
    kinds, leader,
    metrics::Metrics,
    pages::{self, Pages},
    proxies,
    readiness::{self, Readiness},
    revision::Revision,
    tag::Tag,
    triggers::Triggers,
    watched,
};
use anyhow::Context as _;
use futures::{Stream, stream};
use kube::{Client, ResourceExt, api::DynamicObject, runtime::reflector::ObjectRef};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use tombolo_api::mesh::MeshRevisionTag;
use tombolo_kubernetes::program::{self, Told};

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

/// Shows what it does and does it, until it is told to stop: then what is under way is finished or given up, and nothing new is begun.
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

/// Does what only one replica does, until it is told to stop: watches and reconciles.
pub(crate) async fn lead(context: Arc<Context>, stop: CancellationToken) {
    context.begin();
    tokio::join!(definitions::keep(&context, &stop), reconcile(&context, &stop));
}

/// Begins once definitions were looked at: what an older one lacks cannot be written.
async fn reconcile(context: &Arc<Context>, stop: &CancellationToken) {
    let (installations, revisions, tags) = (installations(context), revisions(context), tags(context));
    let known = revisions.known();
    let mut definitions = context.definitions.subscribe();
    if stop.run_until_cancelled(definitions.wait_for(definitions::State::is_known)).await.is_none() {
        return;
    }
    tokio::join!(
        installations.drive::<Installation>(stop),
        revisions.drive::<Revision>(stop),
        tags.drive::<Tag>(stop),
        proxies::keep(context, known, stop),
    );
}

/// What stands in one's way may be anybody's revision or tag, and any of them may go.
fn installations(context: &Arc<Context>) -> Triggers {
    let (definitions, proxies) = (changes(&context.definitions), changes(&context.proxies));
    let beside = watched::beside_installations().fold(Triggers::of(kinds::INSTALLATION, context), Triggers::all_on);
    beside.all_when(definitions).all_when(proxies)
}

/// That something is another from now on.
fn changes<T: Send + Sync + 'static>(of: &watch::Sender<T>) -> impl Stream<Item = ()> + Send + use<T> {
    stream::unfold(of.subscribe(), |mut known| async {
        known.changed().await.ok()?;
        Some(((), known))
    })
}

/// Whether a revision is in use is a matter of tags, of those too that named it before, and of proxies.
fn revisions(context: &Arc<Context>) -> Triggers {
    let triggers = Triggers::of(kinds::REVISION, context).on_owned(watched::for_revisions());
    triggers.all_on(watched::all(kinds::TAG)).all_when(changes(&context.proxies))
}

/// Where a tag leads is a matter of revisions, and so is whether its name is free.
fn tags(context: &Arc<Context>) -> Triggers {
    let triggers = Triggers::of(kinds::TAG, context).on_owned(watched::for_tags());
    let known = triggers.known();
    triggers.on(watched::all(kinds::REVISION), move |revision| {
        let tags = known.state();
        let concerned = tags.iter().filter(|tag| concerns(revision, tag));
        concerned.map(|tag| ObjectRef::from_obj_with(&**tag, kinds::TAG.resource())).collect()
    })
}

fn concerns(revision: &DynamicObject, tag: &DynamicObject) -> bool {
    let spec = tag.data.get("spec").cloned().and_then(|spec| serde_json::from_value::<MeshRevisionTag>(spec).ok());
    let named = spec.is_some_and(|spec| spec.targets.iter().any(|target| *target.revision == *revision.name_any()));
    named || tag.name_any() == revision.name_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Api, Fails};
    use clap::Parser as _;
    use std::{net::SocketAddr, time::Duration};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

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
