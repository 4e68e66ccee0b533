//! The gRPC service over HTTP/2: which method, and the response body that drives one stream.
//!
//! The body is the stream's task. HTTP/2 asks it for a block when there is room for one, so a response comes into being as fast as
//! the client reads, and what changes meanwhile is gathered in the mailbox, latest wins, instead of being buffered.

use crate::{
    Class, Health, Hub, Peer, Refusal, TakingHealth,
    connection::Connection,
    metrics::Cut,
    session::Request,
    wire::{About, Asked, Block, Outgoing, Requests, acknowledgement},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use http_body::Frame;
use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tombolo_proto::{Framing, ResourceType};
use tonic::{Code, Status};

const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const STATE_OF_THE_WORLD: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// `envoy.service.discovery.v3.AggregatedDiscoveryService`, for one HTTP/2 connection.
#[derive(Clone)]
pub struct AdsService {
    hub: Hub,
    cut: CancellationToken,
}

impl AdsService {
    /// Cancels `cut` when the connection is to be dropped.
    pub fn new(hub: Hub, cut: CancellationToken) -> Self {
        Self { hub, cut }
    }

    /// Answers a request; the rest happens in the response's body.
    pub fn respond<B>(&self, request: http::Request<B>) -> Response<Body<B>>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let framing = match (request.method(), request.uri().path()) {
            (&Method::POST, DELTA) => Framing::Delta,
            (&Method::POST, STATE_OF_THE_WORLD) => Framing::StateOfTheWorld,
            (_, path) => return refused(&Status::unimplemented(format!("{path} is not served here"))),
        };
        let peer = request.extensions().get::<Peer>().cloned();
        match self.hub.connect(framing, peer, self.cut.clone()) {
            Ok(connection) => {
                let requests = Requests::new(request.into_body(), self.hub.config().limits.clone());
                let (hub, stage) = (self.hub.clone(), Stage::Start);
                let (node, taking, acknowledged) = Default::default();
                let health = Reporting { node, taking, acknowledged };
                let stream = Stream { hub, connection, requests, stage, health, out: None, timer: None };
                let mut response = Response::new(Body(Some(Box::new(stream))));
                response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
                response
            }
            Err(status) => refused(&status),
        }
    }
}

fn refused<B>(status: &Status) -> Response<Body<B>> {
    let mut response = Response::new(Body(None));
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    *response.headers_mut() = trailers(status, std::mem::take(response.headers_mut()));
    response
}

/// A status that cannot be written as headers is still an error to the client.
fn trailers(status: &Status, mut headers: HeaderMap) -> HeaderMap {
    if status.add_header(&mut headers).is_err() {
        headers.insert("grpc-status", HeaderValue::from_static("13"));
    }
    headers
}

impl<B> hyper::service::Service<http::Request<B>> for AdsService
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body<B>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: http::Request<B>) -> Self::Future {
        ready(Ok(self.respond(request)))
    }
}

impl<B> tower::Service<http::Request<B>> for AdsService
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body<B>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        ready(Ok(self.respond(request)))
    }
}

/// The responses of one stream. Empty once it has ended.
pub struct Body<B>(Option<Box<Stream<B>>>);

struct Stream<B> {
    hub: Hub,
    connection: Arc<Connection>,
    requests: Requests<B>,
    stage: Stage,
    health: Reporting,
    out: Option<Outgoing>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The health reports of a stream: one at a time, so that they cost nothing however many come.
#[derive(Default)]
struct Reporting {
    /// The id of the stream's node.
    node: Arc<str>,
    /// The report that is being taken in. No request is read meanwhile.
    taking: Option<TakingHealth>,
    /// What is to be acknowledged next.
    acknowledged: Option<u64>,
}

enum Stage {
    /// No request yet.
    Start,
    /// Who is it? The first request waits.
    Admitting(Pin<Box<dyn Future<Output = Result<Class, Refusal>> + Send>>, Box<Asked>),
    Serving,
}

impl<B> http_body::Body for Body<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Block;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Block>, Infallible>>> {
        let this = self.get_mut();
        let Some(stream) = &mut this.0 else { return Poll::Ready(None) };
        loop {
            if let Some(block) = stream.next_block() {
                let block = Block::new(block, stream.connection.progress.clone());
                return Poll::Ready(Some(Ok(Frame::data(block))));
            }
            match stream.step(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(status)) => {
                    this.0 = None;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers(&status, HeaderMap::new())))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

impl<B> Stream<B> {
    fn next_block(&mut self) -> Option<Bytes> {
        let Some(out) = self.out.as_mut() else {
            // Between two responses: a message is not interrupted.
            let sequence = self.health.acknowledged.take()?;
            return Some(acknowledgement(self.connection.framing, sequence));
        };
        let block = out.next_block();
        self.hub.metrics().sent(out);
        if block.is_none() {
            self.out = None;
        }
        block
    }

    /// Takes in what the publisher left. The waker is registered when nothing is left.
    fn read_mailbox(&self, cx: &Context<'_>) -> Result<(), Status> {
        while let Some(inbox) = self.connection.mailbox.take(cx.waker()) {
            if let Some(status) = inbox.close {
                return Err(status);
            }
            let mut session = self.connection.session();
            session.changed(inbox.letters, Instant::now());
            if let Some(class) = inbox.class {
                self.set_class(&mut session, class);
            }
            self.hub.report(&self.connection, &mut session);
        }
        Ok(())
    }

    fn set_class(&self, session: &mut crate::session::Session, class: Class) {
        let mut index = self.hub.index_mut();
        // What was published meanwhile was meant for the old class.
        let now = Instant::now();
        session.changed(self.connection.mailbox.take_letters(), now);
        session.reclassify(&class.scopes, &mut index, now);
        *self.connection.class() = Some(class);
    }

    fn admit(&mut self, mut first: Asked) -> Result<(), Status> {
        let Some(node) = first.node.take() else {
            return Err(self.cut(Cut::Refused, Status::invalid_argument("the stream's first request has no node")));
        };
        self.health.node = node.id.as_str().into();
        let (hub, peer) = (self.hub.clone(), self.connection.peer.clone());
        let admission = async move {
            hub.opened().await;
            hub.classify().classify(&node, peer.as_ref()).await
        };
        self.stage = Stage::Admitting(Box::pin(admission), Box::new(first));
        Ok(())
    }

    fn serve(&mut self, asked: Asked) -> Result<(), Status> {
        let request = asked.request;
        match asked.about {
            About::Resources(kind) => return self.subscribe(kind, request),
            About::Health => self.take_health(Health::new(None, request.error)),
            About::HealthReport if request.nonce.is_some() => {
                self.take_health(Health::new(request.nonce, request.error));
            }
            About::HealthReport => {
                let message = "the response_nonce of a health report is its number, in decimal";
                return Err(self.cut(Cut::Malformed, Status::invalid_argument(message)));
            }
            About::Unknown(url) => {
                tracing::debug!(proxy = &*self.connection.proxy(), "not served, not answered: {url}");
            }
        }
        Ok(())
    }

    fn take_health(&mut self, report: Health) {
        self.health.taking = Some(self.hub.health().take(&self.health.node, self.connection.peer.as_ref(), report));
    }

    /// True once no report is being taken in, and none is to be acknowledged: the next request may be read.
    fn has_taken_health(&mut self, cx: &mut Context<'_>) -> Result<bool, Status> {
        if let Some(taking) = &mut self.health.taking {
            let Poll::Ready(outcome) = taking.as_mut().poll(cx) else { return Ok(false) };
            self.health.taking = None;
            self.health.acknowledged = outcome.map_err(|refusal| self.cut(Cut::Refused, refusal.into()))?;
        }
        Ok(self.health.acknowledged.is_none())
    }

    fn subscribe(&self, kind: ResourceType, request: Request) -> Result<(), Status> {
        let Request { nonce, error, ask } = request;
        let (now, limit) = (Instant::now(), self.hub.config().limits.subscriptions);
        let mut session = self.connection.session();
        if let Some(nonce) = nonce {
            session.answered(kind, nonce, error, now);
        }
        let changes = session.changes_anything(kind, &ask, &self.hub.index());
        if changes {
            let mut index = self.hub.index_mut();
            session.changed(self.connection.mailbox.take_letters(), now);
            session.ask(kind, ask, &mut index, now);
        }
        self.hub.report(&self.connection, &mut session);
        if session.subscriptions() > limit as u64 {
            let message = format!("more than {limit} names are subscribed to on one stream (limits.subscriptions)");
            return Err(self.cut(Cut::Limit, Status::resource_exhausted(message)));
        }
        Ok(())
    }

    /// The next response, if one is due; otherwise the timer is set for when one may be.
    fn respond(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let wake_at = {
            let mut session = self.connection.session();
            let response = session.poll(&self.hub.index(), Instant::now());
            self.hub.report(&self.connection, &mut session);
            if let Some(response) = response {
                self.hub.metrics().responding(response.kind);
                self.out = Some(Outgoing::new(response)?);
                return Poll::Ready(Ok(()));
            }
            session.wake_at()
        };
        let Some(at) = wake_at.map(tokio::time::Instant::from_std) else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx).map(Ok)
    }

    fn cut(&self, reason: Cut, status: Status) -> Status {
        tracing::warn!(proxy = &*self.connection.proxy(), "cut: {}", status.message());
        self.hub.metrics().cut(reason);
        status
    }
}

impl<B> Stream<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    /// Takes in what there is and makes a response of it. An error is the stream's end, whatever its code.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.read_mailbox(cx)?;
        if let Stage::Admitting(admission, _) = &mut self.stage {
            let Poll::Ready(outcome) = admission.as_mut().poll(cx) else { return Poll::Pending };
            let class = outcome.map_err(|refusal| self.cut(Cut::Refused, refusal.into()))?;
            self.set_class(&mut self.connection.session(), class);
            if let Stage::Admitting(_, first) = std::mem::replace(&mut self.stage, Stage::Serving) {
                self.serve(*first)?;
            }
        }
        while self.has_taken_health(cx)? {
            let Poll::Ready(request) = self.poll_request(cx) else { break };
            let request = request.ok_or_else(|| Status::ok(""))?.map_err(|status| self.unreadable(status))?;
            if matches!(self.stage, Stage::Start) {
                self.admit(request)?;
                // Polled once now, so that its waker is known.
                return self.step(cx);
            }
            self.serve(request)?;
        }
        match self.stage {
            Stage::Serving if self.health.acknowledged.is_some() => Poll::Ready(Ok(())),
            Stage::Serving => self.respond(cx),
            Stage::Start | Stage::Admitting(..) => Poll::Pending,
        }
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Asked, Status>>> {
        loop {
            if self.requests.has_bytes()
                && let Some(asked) = self.requests.read(self.connection.framing, &self.hub.index()).transpose()
            {
                return Poll::Ready(Some(asked));
            }
            match ready!(self.requests.poll_fill(cx)) {
                Some(Ok(())) => {}
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn unreadable(&self, status: Status) -> Status {
        match status.code() {
            // The client went away.
            Code::Cancelled => status,
            Code::ResourceExhausted => self.cut(Cut::Limit, status),
            _ => self.cut(Cut::Malformed, status),
        }
    }
}

impl<B> Drop for Stream<B> {
    fn drop(&mut self) {
        self.hub.disconnect(&self.connection);
    }
}
