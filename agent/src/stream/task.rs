//! The task's state: events from both sides into the relay, its actions out to both.

use super::{
    books::Shared,
    downstream::{Downstream, Outgoing},
    links::{LinkEvent, Links},
    metrics::Metrics,
    relay::{Action, Event, LinkId, Note, Report},
    run::{Switch, SwitchError},
    settings::{Item, Sink, Subscription, Timing},
    shelf::Kind,
    upstream::{Dial, UpstreamError},
    wire::{self, Request, Resource, Response},
};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tombolo_process::Backoff;

/// gRPC's status `RESOURCE_EXHAUSTED`.
const RESOURCE_EXHAUSTED: u16 = 8;
/// gRPC's status `ABORTED`.
const ABORTED: u16 = 10;

/// What the task keeps.
pub(super) struct Task {
    books: Shared,
    metrics: Metrics,
    pub(super) links: Links,
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
    pub(super) fn new(books: Shared, metrics: Metrics, dial: Arc<dyn Dial>, links: Links, timing: Timing) -> Self {
        let backoff = Backoff::new(timing.backoff.0, timing.backoff.1);
        let (dialling, switching, envoy, sinks) = (None, None, None, HashMap::new());
        Self { books, metrics, links, timing, backoff, dial, dialling, switching, envoy, sinks }
    }

    pub(super) fn subscribe(&mut self, own: Vec<Subscription>) {
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
    pub(super) fn keep_dialling(&mut self) {
        let idle = self.dialling.is_none() && self.switching.is_none() && self.books.lock().relay.current().is_none();
        if idle {
            let first = self.links.is_fresh();
            let wait = if first { Duration::ZERO } else { self.backoff.wait() };
            self.dialling = Some(self.links.dial(self.dial.clone(), wait));
        }
    }

    pub(super) fn switch(&mut self, switch: Switch) {
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

    pub(super) fn link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Opened(id, requests) if self.links.contains(id) => {
                self.dialling.take_if(|dialling| *dialling == id);
                self.metrics.connected();
                self.links.opened(id, requests, Instant::now() + self.timing.silence);
                self.handle(Event::LinkOpened(id));
            }
            LinkEvent::Response(id, response) if self.links.contains(id) => {
                let bytes = response.resources.iter().map(Bytes::len).sum();
                self.metrics.received(&response.type_url, bytes);
                self.handle(Event::Response(id, response));
                self.links.heard(id, Instant::now() + self.timing.settle);
            }
            LinkEvent::Closed(id, error) if self.links.contains(id) => self.lost(id, error),
            _ => {}
        }
    }

    fn lost(&mut self, id: LinkId, error: UpstreamError) {
        tracing::warn!(reason = error.reason(), "{error}");
        self.metrics.failed(&error);
        self.books.lock().last_failure = Some(error.clone());
        self.dialling.take_if(|dialling| *dialling == id);
        if let Some((_, switch)) = self.switching.take_if(|(switching, _)| *switching == id) {
            _ = switch.done.send(Err(error.into()));
        }
        self.drop_link(id);
    }

    pub(super) fn quiet(&mut self, id: Option<LinkId>) {
        let Some(id) = id else { return };
        self.links.settled(id);
        self.backoff.reset();
        self.handle(Event::Quiet(id));
        if let Some((_, switch)) = self.switching.take_if(|(switching, _)| *switching == id) {
            tracing::info!("the control plane was changed for another");
            self.dial = switch.dial;
            _ = switch.done.send(Ok(()));
        }
    }

    pub(super) fn envoy(&mut self, event: Downstream) {
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

    pub(super) fn report(&mut self, health: &mut watch::Receiver<Option<Report>>) {
        let report = health.borrow_and_update().clone();
        if let Some(report) = report {
            self.handle(Event::Health(report));
        }
    }

    pub(super) fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions = self.books.lock().handle(event);
            for action in actions {
                events.extend(self.act(action));
            }
        }
    }

    /// What comes of it at once.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Envoy(response) => self.write_to_envoy(response),
            Action::Sink(response) => return self.write_to_sink(response),
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
            Action::RefuseEnvoy(reason) => {
                tracing::warn!("Envoy's stream is ended: {reason}");
                if let Some((_, outbox)) = self.envoy.take() {
                    _ = outbox.try_send(Outgoing::End(RESOURCE_EXHAUSTED, reason));
                }
            }
            Action::Note(note) => self.note(&note),
        }
        None
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::Rejected(kind, message) => tracing::warn!(r#type = &**kind, "rejected: {message}"),
            Note::Resync(why) => tracing::info!("the control plane is told anew what is held: {why}"),
            Note::Accepted(_) => self.books.accepted.notify_one(),
        }
        self.metrics.note(note);
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

    /// What the sink answers.
    fn write_to_sink(&mut self, response: Response) -> Option<Event> {
        let sink = self.sinks.get_mut(&*response.type_url)?;
        let item = |bytes| {
            let resource = Resource::read(bytes).ok()?;
            let value = resource.value()?;
            Some(Item { name: resource.name, version: resource.version.to_string(), value })
        };
        let items = response.resources.into_iter().filter_map(item).collect();
        let outcome = sink.apply(items, response.removed);
        Some(Event::Sink(Request {
            type_url: response.type_url,
            response_nonce: response.nonce,
            error_detail: outcome.err().map(|reason| wire::error_detail(&reason)),
            ..Request::default()
        }))
    }
}
