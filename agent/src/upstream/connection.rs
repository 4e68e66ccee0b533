//! gRPC calls on one connection.

use super::{refusal::Refusals, token::TokenFile};
use http::uri::PathAndQuery;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use prost::Message;
use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status, Streaming, body::Body, client::Grpc, metadata::MetadataValue};
use tonic_prost::ProstCodec;

/// The longest message that is read. The largest resources of a mesh are some megabytes.
const MOST_BYTES: usize = 64 << 20;

/// A connection to the control plane. It is closed when it and its streams are dropped.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    details: Arc<Details>,
}

/// What is the same for every call on a connection.
pub(super) struct Details {
    pub(super) peer: SocketAddr,
    pub(super) origin: http::Uri,
    pub(super) token: Option<TokenFile>,
    pub(super) cluster: Option<String>,
    /// Who wants to know that we were not believed.
    pub(super) refusals: Option<Refusals>,
}

/// The messages that come on a stream, until its end.
pub struct Responses<M> {
    state: State<M>,
    refusals: Option<Refusals>,
}

enum State<M> {
    Opening(Pin<Box<dyn Future<Output = Result<Streaming<M>, Status>> + Send>>),
    Open(Box<Streaming<M>>),
    Ended,
}

impl Connection {
    pub(super) fn new(sender: SendRequest<Body>, details: Details) -> Self {
        Self { channel: Channel(sender), details: details.into() }
    }

    /// Which of the control plane's addresses it is to.
    pub fn peer(&self) -> SocketAddr {
        self.details.peer
    }

    /// Whether nothing more can be asked on it.
    pub fn is_closed(&self) -> bool {
        self.channel.0.is_closed()
    }

    /// One request, one response. `path` is `/package.Service/Method`. Takes as long as it takes: bound it by a timeout.
    ///
    /// # Errors
    /// What the server says; `unavailable` or `unknown` where the connection fails.
    pub async fn unary<M, R>(&self, path: &'static str, message: M) -> Result<R, Status>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut client = self.client();
        client.ready().await.map_err(unavailable)?;
        let path = PathAndQuery::from_static(path);
        let response = client.unary(self.request(message), path, ProstCodec::default()).await;
        response.map(Response::into_inner).inspect_err(|status| inspect(self.details.refusals.as_ref(), status))
    }

    /// A stream both ways. Requests are sent as they come, from the moment that responses are asked for: some servers answer
    /// nothing, not even headers, before they have a first response.
    pub fn stream<S, M, R>(&self, path: &'static str, requests: S) -> Responses<R>
    where
        S: Stream<Item = M> + Send + 'static,
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        let (mut client, request) = (self.client(), self.request(requests));
        let opening = async move {
            client.ready().await.map_err(unavailable)?;
            let path = PathAndQuery::from_static(path);
            Ok(client.streaming(request, path, ProstCodec::<M, R>::default()).await?.into_inner())
        };
        Responses { state: State::Opening(Box::pin(opening)), refusals: self.details.refusals.clone() }
    }

    fn client(&self) -> Grpc<Channel> {
        Grpc::with_origin(self.channel.clone(), self.details.origin.clone()).max_decoding_message_size(MOST_BYTES)
    }

    /// The token is read afresh: whoever replaces the file need not tell us.
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(bearer) = self.details.token.as_ref().and_then(TokenFile::bearer) {
            request.metadata_mut().insert("authorization", bearer);
        }
        if let Some(cluster) = self.details.cluster.as_ref().and_then(|cluster| MetadataValue::try_from(cluster).ok()) {
            request.metadata_mut().insert("clusterid", cluster);
        }
        request
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl<M: Message + Default + 'static> Responses<M> {
    /// The next message; `None` where the server has ended the stream in good order.
    ///
    /// # Errors
    /// What the server says, or how the connection failed. It is the end.
    pub async fn message(&mut self) -> Result<Option<M>, Status> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }

    fn end(&mut self, status: Status) -> Status {
        inspect(self.refusals.as_ref(), &status);
        self.state = State::Ended;
        status
    }
}

impl<M: Message + Default + 'static> Stream for Responses<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut self.state {
                State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(messages) => self.state = State::Open(Box::new(messages)),
                    Err(status) => return Poll::Ready(Some(Err(self.end(status)))),
                },
                State::Open(messages) => match ready!(Pin::new(&mut **messages).poll_next(cx)) {
                    Some(Err(status)) => return Poll::Ready(Some(Err(self.end(status)))),
                    Some(message) => return Poll::Ready(Some(message)),
                    None => self.state = State::Ended,
                },
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl<M> fmt::Debug for Responses<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responses")
    }
}

/// HTTP/2 as gRPC's client wants it.
#[derive(Clone)]
struct Channel(SendRequest<Body>);

impl tower::Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

fn inspect(refusals: Option<&Refusals>, status: &Status) {
    if let (Some(refusals), Code::Unauthenticated) = (refusals, status.code()) {
        refusals.tell();
    }
}

fn unavailable(error: hyper::Error) -> Status {
    let mut status = Status::unavailable(format!("the connection is closed: {error}"));
    status.set_source(Arc::new(error));
    status
}
