//! The stream's task: events from both sides into the relay, its actions out to both.

use super::{
    backoff::Backoff,
    books::Shared,
    downstream::{self, Downstream, Outgoing},
    links::{LinkEvent, Links},
    relay::{Action, Bounds, Event, LinkId, Note, Relay, Report},
    settings::{Item, Settings, Sink, Subscription, Timing},
    shelf::{Disk, Keep, Kind, Memory},
    status::Status,
    upstream::{Dial, UpstreamError},
    wire::{self, Request, Resource, Response},
};
use prost::Message as _;
use std::{collections::HashMap, io, sync::Arc, time::Duration};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// Events that may wait for the task. Whoever has more waits: Envoy, or the control plane.
const EVENTS: usize = 64;
/// Types that Envoy may subscribe to; it has about ten.
const TYPES: usize = 64;
/// gRPC's status `RESOURCE_EXHAUSTED`.
const RESOURCE_EXHAUSTED: u16 = 8;
/// gRPC's status `ABORTED`.
const ABORTED: u16 = 10;

/// A config stream that is not running yet.
pub struct ConfigStream {
    settings: Settings,
    listener: UnixListener,
    books: Shared,
    own: Vec<Subscription>,
    health: watch::Receiver<Option<Report>>,
    commands: mpsc::Receiver<Switch>,
}

/// What others may do with a config stream.
#[derive(Clone)]
pub struct Handle {
    books: Shared,
    commands: mpsc::Sender<Switch>,
}

/// Why a control plane was not changed for another. The stream goes on with the one before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// It could not be reached, or it ended the stream before it was current.
    #[error("the other control plane is of no use: {0}")]
    Upstream(#[from] UpstreamError),
    /// Another change was asked for meanwhile.
    #[error("another change of control planes was asked for meanwhile")]
    Superseded,
    /// The stream's task is over.
    #[error("the config stream has ended")]
    Ended,
}

struct Switch {
    dial: Arc<dyn Dial>,
    done: oneshot::Sender<Result<(), SwitchError>>,
}

impl Handle {
    /// Changes to another control plane, make-before-break: returns once it is current and the one before is let go.
    ///
    /// # Errors
    /// See [`SwitchError`].
    pub async fn switch_to(&self, dial: Arc<dyn Dial>) -> Result<(), SwitchError> {
        let (done, outcome) = oneshot::channel();
        self.commands.send(Switch { dial, done }).await.map_err(|_| SwitchError::Ended)?;
        outcome.await.unwrap_or(Err(SwitchError::Ended))
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        self.books.lock().status()
    }
}

impl ConfigStream {
    /// Listens for Envoy, and reads what was kept. Must be called within a tokio runtime.
    ///
    /// `health` is the workload's latest health, where anyone looks after that.
    ///
    /// # Errors
    /// The socket cannot be made, or nothing can be written where what Envoy accepts is to be kept.
    pub fn new(
        settings: Settings,
        own: Vec<Subscription>,
        health: watch::Receiver<Option<Report>>,
    ) -> io::Result<(Self, Handle)> {
        let listener = downstream::listen(&settings.socket)?;
        let bounds = Bounds {
            subscriptions: settings.limits.subscriptions,
            types: TYPES,
            pending: settings.limits.pending_bytes,
        };
        let relay = Relay::new(settings.node.encode_to_vec().into(), bounds);
        let shelf: Box<dyn Keep> = match &settings.cache {
            Some(cache) => Box::new(Disk::open(cache)?),
            None => Box::<Memory>::default(),
        };
        let books = Shared::new(relay, shelf);
        let (sender, commands) = mpsc::channel(1);
        let handle = Handle { books: books.clone(), commands: sender };
        Ok((Self { settings, listener, books, own, health, commands }, handle))
    }

    /// Runs for ever. Dropping the future ends both sides.
    pub async fn run(self, dial: Arc<dyn Dial>) {
        let Self { settings, listener, books, own, mut health, mut commands } = self;
        let (to_links, mut links) = mpsc::channel(EVENTS);
        let (to_envoy, mut envoy) = mpsc::channel(EVENTS);
        let mut task = Task::new(books.clone(), dial, Links::new(to_links, settings.timing.dial), settings.timing);
        task.subscribe(own);
        task.report(&mut health);
        let serving = downstream::serve(listener, settings.limits.message_bytes, to_envoy);
        let sync = keep_synced(books.clone(), settings.timing.sync);
        tokio::pin!(serving, sync);
        let mut prune = interval(settings.timing.prune);
        prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            task.keep_dialling();
            let quiet = task.links.next_quiet();
            tokio::select! {
                () = &mut serving => return,
                () = &mut sync => return,
                Some(event) = links.recv() => task.link(event),
                Some(event) = envoy.recv() => task.envoy(event),
                Some(switch) = commands.recv() => task.switch(switch),
                Ok(()) = health.changed() => task.report(&mut health),
                () = until(quiet.map(|(at, _)| at)) => task.quiet(quiet.map(|(_, id)| id)),
                _ = prune.tick() => task.handle(Event::Prune),
            }
        }
    }
}

/// Makes last what was accepted: writing waits for nothing, the disk takes its time on a thread of its own.
async fn keep_synced(books: Shared, every: Duration) {
    let mut due = interval(every);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let Some(sync) = books.lock().shelf.sync() else { continue };
        let outcome = tokio::task::spawn_blocking(|| sync.run()).await;
        if let Err(error) = outcome.map_err(io::Error::from).flatten() {
            tracing::error!("what Envoy accepted may not outlive a crash of this machine: {error}");
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What the task keeps.
struct Task {
    books: Shared,
    links: Links,
    timing: Timing,
    backoff: Backoff,
    dial: Arc<dyn Dial>,
    /// The stream that is being opened to `dial`.
    dialling: Option<LinkId>,
    /// The stream that is being opened to another control plane.
    switching: Option<(LinkId, Switch)>,
    envoy: Option<(u64, mpsc::Sender<Outgoing>)>,
    sinks: HashMap<Kind, Box<dyn Sink>>,
}

impl Task {
    fn new(books: Shared, dial: Arc<dyn Dial>, links: Links, timing: Timing) -> Self {
        let backoff = Backoff::new(timing.backoff.0, timing.backoff.1);
        let (dialling, switching, envoy, sinks) = (None, None, None, HashMap::new());
        Self { books, links, timing, backoff, dial, dialling, switching, envoy, sinks }
    }

    fn subscribe(&mut self, own: Vec<Subscription>) {
        for subscription in own {
            let request = Request {
                type_url: subscription.type_url.to_string(),
                subscribe: subscription.names,
                ..Request::default()
            };
            self.sinks.insert(subscription.type_url, subscription.sink);
            self.handle(Event::Sink(request));
        }
    }

    /// There is always a stream, or one on its way.
    fn keep_dialling(&mut self) {
        let idle = self.dialling.is_none() && self.switching.is_none() && self.books.lock().relay.current().is_none();
        if idle {
            let first = self.links.is_fresh();
            let wait = if first { Duration::ZERO } else { self.backoff.wait(fastrand::f64()) };
            self.dialling = Some(self.links.dial(self.dial.clone(), wait));
        }
    }

    fn switch(&mut self, switch: Switch) {
        if let Some(id) = self.dialling.take() {
            self.links.close(id);
        }
        if let Some((id, superseded)) = self.switching.take() {
            self.drop_link(id);
            _ = superseded.done.send(Err(SwitchError::Superseded));
        }
        let id = self.links.dial(switch.dial.clone(), Duration::ZERO);
        self.switching = Some((id, switch));
    }

    /// A stream is let go that the relay may know of.
    fn drop_link(&mut self, id: LinkId) {
        self.links.close(id);
        self.handle(Event::LinkClosed(id));
    }

    fn link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Opened(id, requests) if self.links.contains(id) => {
                self.dialling.take_if(|dialling| *dialling == id);
                self.links.opened(id, requests);
                self.links.quiet_at(id, Some(Instant::now() + self.timing.silence));
                self.handle(Event::LinkOpened(id));
            }
            LinkEvent::Response(id, response) if self.links.contains(id) => {
                self.backoff.reset();
                self.handle(Event::Response(id, response));
                self.links.expect_quiet(id, Instant::now() + self.timing.settle);
            }
            LinkEvent::Closed(id, error) if self.links.contains(id) => self.lost(id, error),
            _ => {}
        }
    }

    fn lost(&mut self, id: LinkId, error: UpstreamError) {
        tracing::warn!(reason = error.reason(), "{error}");
        self.books.lock().last_failure = Some(error.clone());
        self.dialling.take_if(|dialling| *dialling == id);
        if let Some((_, switch)) = self.switching.take_if(|(switching, _)| *switching == id) {
            _ = switch.done.send(Err(error.into()));
        }
        self.drop_link(id);
    }

    fn quiet(&mut self, id: Option<LinkId>) {
        let Some(id) = id else { return };
        self.links.quiet_at(id, None);
        self.backoff.reset();
        self.handle(Event::Quiet(id));
        if let Some((_, switch)) = self.switching.take_if(|(switching, _)| *switching == id) {
            self.dial = switch.dial;
            _ = switch.done.send(Ok(()));
        }
    }

    fn envoy(&mut self, event: Downstream) {
        match event {
            Downstream::Opened(id, outbox) => {
                if let Some((_, replaced)) = self.envoy.replace((id, outbox)) {
                    _ = replaced.try_send(Outgoing::End(ABORTED, "another stream was opened".to_owned()));
                }
                self.handle(Event::EnvoyOpened);
            }
            Downstream::Request(id, request) if self.is_envoy(id) => self.handle(Event::Envoy(request)),
            Downstream::Closed(id) if self.is_envoy(id) => {
                self.envoy = None;
                self.handle(Event::EnvoyClosed);
            }
            Downstream::Request(..) | Downstream::Closed(_) => {}
        }
    }

    fn is_envoy(&self, id: u64) -> bool {
        self.envoy.as_ref().is_some_and(|(envoy, _)| *envoy == id)
    }

    fn report(&mut self, health: &mut watch::Receiver<Option<Report>>) {
        let report = health.borrow_and_update().clone();
        if let Some(report) = report {
            self.handle(Event::Health(report));
        }
    }

    fn handle(&mut self, event: Event) {
        let actions = self.books.lock().handle(event);
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Envoy(response) => self.write_to_envoy(response),
            Action::Sink(response) => self.write_to_sink(response),
            Action::Link(id, request) => {
                if let Err(error) = self.links.send(id, request) {
                    self.lost(id, error);
                }
            }
            Action::Close(id) => {
                self.links.close(id);
                if let Some((_, switch)) = self.switching.take_if(|(switching, _)| *switching == id) {
                    _ = switch.done.send(Err(UpstreamError::Restarted.into()));
                }
            }
            Action::Promoted(_) => {}
            Action::RefuseEnvoy(reason) => {
                tracing::warn!("Envoy's stream is ended: {reason}");
                if let Some((_, outbox)) = self.envoy.take() {
                    _ = outbox.try_send(Outgoing::End(RESOURCE_EXHAUSTED, reason));
                }
            }
            Action::Note(note) => self.note(&note),
        }
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::Rejected(kind, message) => tracing::warn!(r#type = &**kind, "rejected: {message}"),
            Note::Resync(why) => tracing::info!("the control plane is told anew what is held: {why}"),
            Note::Accepted(_) => {}
        }
        self.books.lock().note(note);
    }

    fn write_to_envoy(&mut self, response: Response) {
        let Some((_, outbox)) = &self.envoy else { return };
        if outbox.try_send(Outgoing::Response(response)).is_err() {
            tracing::warn!("Envoy takes no responses in: its stream is ended");
            self.envoy = None;
            self.handle(Event::EnvoyClosed);
        }
    }

    fn write_to_sink(&mut self, response: Response) {
        let Some(sink) = self.sinks.get_mut(&*response.type_url) else { return };
        let item = |bytes| {
            let resource = Resource::read(bytes).ok()?;
            let value = resource.value()?;
            Some(Item { name: resource.name, version: resource.version.to_string(), value })
        };
        let items = response.resources.into_iter().filter_map(item).collect();
        let outcome = sink.apply(items, response.removed);
        self.handle(Event::Sink(Request {
            type_url: response.type_url,
            response_nonce: response.nonce,
            error_detail: outcome.err().map(|reason| wire::error_detail(&reason)),
            ..Request::default()
        }));
    }
}
