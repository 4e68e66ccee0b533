//! Watches: each waits by itself after a failure, and for its kind to be defined.

mod vanished;

use self::vanished::Vanished;
use crate::{context::Context, watched::Watched};
use futures::{Stream, StreamExt as _, stream};
use kube::{
    Api,
    api::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tombolo_kubernetes::watch::WatchBackoff;

/// What happens to objects, for ever. Without their definition nothing does, and when it is there again all are listed anew. What is
/// gone then is told to be deleted, as after any other gap.
pub(crate) fn events(
    watched: Watched,
    objects: Api<DynamicObject>,
    context: &Context,
) -> impl Stream<Item = Event<DynamicObject>> + Send + use<> {
    let (defined, kind, mut failing) = (context.defined.clone(), watched.kind, Failing::default());
    let (place, mut vanished) = (objects.resource_url().to_owned(), Vanished::default());
    let watches = stream::repeat((defined, objects)).then(move |(defined, objects)| async move {
        defined.until(kind, true).await;
        let gone = Box::pin(async move { defined.until(kind, false).await });
        watcher(objects, watched.config()).backoff(WatchBackoff::default()).take_until(gone)
    });
    let events = Box::pin(watches).flatten().filter_map(move |event| std::future::ready(failing.told(&place, event)));
    events.flat_map(move |event| stream::iter(vanished.told(event)))
}

/// What a watch fails with. It is told once, however long it lasts.
#[derive(Default)]
struct Failing(Option<String>);

impl Failing {
    fn told(
        &mut self,
        place: &str,
        event: Result<Event<DynamicObject>, watcher::Error>,
    ) -> Option<Event<DynamicObject>> {
        match event {
            Ok(event) => {
                // That a list begins says nothing yet.
                if !matches!(event, Event::Init) {
                    self.0 = None;
                }
                Some(event)
            }
            Err(error) => {
                let why = Some(tombolo_core::with_causes(&error));
                if self.0 != why {
                    tracing::warn!("cannot watch {place}: {}", why.as_deref().unwrap_or_default());
                    self.0 = why;
                }
                None
            }
        }
    }
}
