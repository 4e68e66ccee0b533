//! What asks for reconciliations of a kind: its own objects, what is made of them, and whatever else concerns them.

mod news;

use self::news::News;
use crate::{
    context::Context,
    controller::{self, Reconciler},
    kinds::Kind,
    queue::Queue,
    watched::{self, Watched},
    watching,
};
use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::{self, BoxFuture},
    stream::{self, BoxStream, SelectAll},
};
use kube::{
    ResourceExt as _,
    api::DynamicObject,
    runtime::{
        Config, WatchStreamExt as _, applier,
        controller::Error,
        reflector::{ObjectRef, Store, reflector, store::Writer},
        watcher,
    },
};
use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Several changes at once are one reconciliation.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long what is under way may go on after it is told to stop: a call may never be answered, and who waits for it keeps the Lease.
const GRACE: Duration = Duration::from_secs(3);
/// Objects that are reconciled at once.
const AT_ONCE: u16 = 4;

/// An object of a kind.
pub(crate) type Reference = ObjectRef<DynamicObject>;

/// What asks for reconciliations of a kind.
///
/// kube's `Controller` lets all of its watches wait for one that failed, and takes the owner of an object in a namespace for one in
/// that namespace: ours have none.
pub(crate) struct Triggers {
    kind: Kind,
    context: Arc<Context>,
    known: Store<DynamicObject>,
    requests: SelectAll<BoxStream<'static, Reference>>,
}

impl Triggers {
    /// The objects themselves, those that are deleted too: then nothing is to be remembered of them.
    pub(crate) fn of(kind: Kind, context: &Arc<Context>) -> Self {
        let writer = Writer::new(kind.resource());
        let known = writer.as_reader();
        let mut triggers = Self { kind, context: context.clone(), known, requests: SelectAll::new() };
        let events = watching::events(watched::all(kind), kind.objects(&context.client, ""), context);
        let mut news = News::default();
        let own = reflector(writer, events.map(Ok::<_, watcher::Error>)).filter_map(move |event| {
            let object = event.ok().and_then(|event| news.of(event));
            ready(object.map(|object| ObjectRef::from_obj_with(&object, kind.resource())))
        });
        triggers.requests.push(own.boxed());
        triggers
    }

    /// The objects that are known now.
    pub(crate) fn known(&self) -> Store<DynamicObject> {
        self.known.clone()
    }

    /// What the operator made of them.
    pub(crate) fn on_owned(self, watched: impl Iterator<Item = Watched>) -> Self {
        let kind = self.kind;
        watched.fold(self, |triggers, watched| triggers.on(watched, move |object| owners(object, kind)))
    }

    /// Other objects, given whom each of them concerns.
    pub(crate) fn on(
        mut self,
        watched: Watched,
        concerned: impl Fn(&DynamicObject) -> Vec<Reference> + Clone + Send + 'static,
    ) -> Self {
        for objects in watched.apis(&self.context) {
            let concerned = concerned.clone();
            let touched = watching::events(watched, objects, &self.context).map(Ok::<_, watcher::Error>);
            let asked = touched.touched_objects().filter_map(|object| ready(object.ok()));
            self.requests.push(asked.flat_map(move |object| stream::iter(concerned(&object))).boxed());
        }
        self
    }

    /// Other objects that concern all.
    pub(crate) fn all_on(self, watched: Watched) -> Self {
        let (known, kind) = (self.known(), self.kind);
        self.on(watched, move |_| all(&known, kind))
    }

    /// News that concern all.
    pub(crate) fn all_when(mut self, news: impl Stream<Item = ()> + Send + 'static) -> Self {
        let (known, kind) = (self.known(), self.kind);
        self.requests.push(news.flat_map(move |()| stream::iter(all(&known, kind))).boxed());
        self
    }

    /// Reconciles until it is told to stop: then what is under way is finished, if that takes no longer than a moment.
    pub(crate) fn drive<R: Reconciler>(self, stop: &CancellationToken) -> BoxFuture<'static, ()> {
        let waiting = Queue::new(self.kind, self.context.metrics.clone());
        let (asked, begun) = (waiting.clone(), waiting.clone());
        let requests = self.requests.inspect(move |object| asked.joins(&object.name));
        let queue = requests.map(Ok::<_, Infallible>).take_until(stop.clone().cancelled_owned());
        let (config, context) = (Config::default().debounce(DEBOUNCE).concurrency(AT_ONCE), self.context.clone());
        let in_vain = in_vain(self.kind, self.known.clone(), stop.clone());
        let reconcile = move |object: Arc<DynamicObject>, context| {
            begun.leaves(&object.name_any());
            controller::reconcile::<R>(object, context).boxed()
        };
        let results = applier(reconcile, controller::on_failure::<R>, self.context, self.known, queue, config);
        let all = results.for_each(move |result| {
            // Failures of reconciliations are told where they are handled.
            if let Err(Error::ObjectNotFound(gone)) = result {
                waiting.leaves(&gone.name);
                controller::forget::<R>(&context, &gone.name);
            }
            ready(())
        });
        future::select(all.boxed(), in_vain.boxed()).map(drop).boxed()
    }
}

/// Ends once it is told to stop and nothing more is to be waited for: at once before objects were listed, as kube's applier begins with
/// nothing until they are, and does not end either: it keeps whoever would fill the store. Else after a moment.
async fn in_vain(kind: Kind, known: Store<DynamicObject>, stop: CancellationToken) {
    stop.cancelled().await;
    if known.wait_until_ready().now_or_never().is_some() {
        sleep(GRACE).await;
        tracing::warn!(kind = kind.name, "what is under way takes longer than {} s and is given up", GRACE.as_secs());
    }
}

fn all(known: &Store<DynamicObject>, kind: Kind) -> Vec<Reference> {
    known.state().iter().map(|object| ObjectRef::from_obj_with(&**object, kind.resource())).collect()
}

/// The owners of an object that are of a kind without namespaces.
fn owners(object: &DynamicObject, kind: Kind) -> Vec<Reference> {
    let owners = object.owner_references().iter();
    let of_kind = owners.filter(|owner| owner.kind == kind.name && owner.api_version == kind.api_version());
    of_kind.map(|owner| ObjectRef::new_with(&owner.name, kind.resource())).collect()
}

#[cfg(test)]
mod tests;
