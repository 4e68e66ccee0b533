//! A small ADS client over h2.

use super::within;
use bytes::{Buf, Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::Builder};
use http::{HeaderMap, Request};
use prost::Message;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;
use tombolo_proto::{
    ResourceType,
    envoy::{
        envoy::{
            config::core::v3::Node,
            service::discovery::v3::{
                DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            },
        },
        google::rpc::Status,
    },
};

pub(crate) const DELTA: &str = "DeltaAggregatedResources";
pub(crate) const WORLD: &str = "StreamAggregatedResources";

pub(crate) struct Client {
    out: SendStream<Bytes>,
    response: Option<h2::client::ResponseFuture>,
    body: Option<RecvStream>,
    headers: HeaderMap,
    buffer: BytesMut,
}

impl Client {
    pub(crate) async fn delta(address: SocketAddr) -> Self {
        Self::connect(address, DELTA).await
    }

    pub(crate) async fn world(address: SocketAddr) -> Self {
        Self::connect(address, WORLD).await
    }

    pub(crate) async fn connect(address: SocketAddr, method: &str) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), method, 1 << 30).await
    }

    /// As an instance of a namespace: see [`super::Asking`].
    pub(crate) async fn as_instance(address: SocketAddr, namespace: &str, instance: &str) -> Self {
        let io = TcpStream::connect(address).await.unwrap();
        Self::proving(io, DELTA, 1 << 30, &[("namespace", namespace), ("instance", instance)]).await
    }

    /// With a flow-control window of so many bytes, on any stream.
    pub(crate) async fn over<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        io: I,
        method: &str,
        window: u32,
    ) -> Self {
        Self::proving(io, method, window, &[]).await
    }

    async fn proving<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        io: I,
        method: &str,
        window: u32,
        proof: &[(&str, &str)],
    ) -> Self {
        let mut builder = Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(window);
        let (mut sender, connection) = builder.handshake::<_, Bytes>(io).await.unwrap();
        tokio::spawn(connection);
        let uri = format!("http://xds/envoy.service.discovery.v3.AggregatedDiscoveryService/{method}");
        let request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        let request = proof.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(()).unwrap();
        sender = sender.ready().await.unwrap();
        let (response, out) = sender.send_request(request, false).unwrap();
        Self { out, response: Some(response), body: None, headers: HeaderMap::new(), buffer: BytesMut::new() }
    }

    pub(crate) fn send(&mut self, message: &impl Message) {
        let body = message.encode_to_vec();
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        self.send_bytes([&[0][..], &len, &body].concat());
    }

    pub(crate) fn send_bytes(&mut self, bytes: Vec<u8>) {
        self.out.send_data(bytes.into(), false).unwrap();
    }

    /// The client has no more to ask.
    pub(crate) fn finish(&mut self) {
        self.out.send_data(Bytes::new(), true).unwrap();
    }

    /// The next response; the final gRPC status and its message where the stream ends.
    pub(crate) async fn receive<M: Message + Default>(&mut self) -> Result<M, (i32, String)> {
        within(self.receive_whenever()).await
    }

    pub(crate) async fn receive_whenever<M: Message + Default>(&mut self) -> Result<M, (i32, String)> {
        if let Some(response) = self.response.take() {
            let (head, body) = response.await.map_err(|error| (-1, error.to_string()))?.into_parts();
            assert_eq!(head.headers["content-type"], "application/grpc");
            (self.headers, self.body) = (head.headers, Some(body));
        }
        let body = self.body.as_mut().unwrap();
        loop {
            if let [0, a, b, c, d, ..] = self.buffer[..] {
                let len = u32::from_be_bytes([a, b, c, d]) as usize;
                if self.buffer.len() >= 5 + len {
                    self.buffer.advance(5);
                    return Ok(M::decode(self.buffer.split_to(len)).unwrap());
                }
            }
            match body.data().await {
                Some(Ok(data)) => {
                    body.flow_control().release_capacity(data.len()).unwrap();
                    self.buffer.extend_from_slice(&data);
                }
                Some(Err(error)) => return Err((-1, error.to_string())),
                None => {
                    let trailers = body.trailers().await.map_err(|error| (-1, error.to_string()))?.unwrap_or_default();
                    let headers = if trailers.is_empty() { &self.headers } else { &trailers };
                    let text = |key| headers.get(key).map_or("", |value| value.to_str().unwrap()).to_owned();
                    return Err((text("grpc-status").parse().unwrap_or(-2), text("grpc-message")));
                }
            }
        }
    }

    pub(crate) fn ask(&mut self, kind: ResourceType, names: &[&str]) {
        self.send(&delta(kind, names));
    }

    pub(crate) async fn next(&mut self) -> DeltaDiscoveryResponse {
        self.receive().await.unwrap()
    }

    pub(crate) async fn next_world(&mut self) -> DiscoveryResponse {
        self.receive().await.unwrap()
    }

    pub(crate) fn ack(&mut self, response: &DeltaDiscoveryResponse) {
        self.answer(response, None);
    }

    pub(crate) fn nack(&mut self, response: &DeltaDiscoveryResponse, message: &str) {
        self.answer(response, Some(message));
    }

    fn answer(&mut self, response: &DeltaDiscoveryResponse, error: Option<&str>) {
        let error_detail = error.map(|message| Status { code: 3, message: message.into(), ..Default::default() });
        self.send(&DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail,
            ..Default::default()
        });
    }
}

pub(crate) fn node(id: &str) -> Option<Node> {
    Some(Node { id: id.into(), ..Default::default() })
}

pub(crate) fn delta(kind: ResourceType, names: &[&str]) -> DeltaDiscoveryRequest {
    let resource_names_subscribe = names.iter().map(ToString::to_string).collect();
    DeltaDiscoveryRequest {
        node: node("test"),
        type_url: kind.url().into(),
        resource_names_subscribe,
        ..Default::default()
    }
}

pub(crate) fn world(kind: ResourceType, names: &[&str]) -> DiscoveryRequest {
    let resource_names = names.iter().map(ToString::to_string).collect();
    DiscoveryRequest { node: node("test"), type_url: kind.url().into(), resource_names, ..Default::default() }
}

/// The names in a response, sorted.
pub(crate) fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    let mut names: Vec<_> = response.resources.iter().map(|resource| resource.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// A connection that can be made to do nothing more, ever: what a machine that lost its power looks like.
pub(crate) struct Freezable<I> {
    io: I,
    frozen: CancellationToken,
}

impl<I> Freezable<I> {
    /// Frozen once the token is cancelled.
    pub(crate) fn new(io: I) -> (Self, CancellationToken) {
        let frozen = CancellationToken::new();
        (Self { io, frozen: frozen.clone() }, frozen)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Freezable<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.frozen.is_cancelled() { Poll::Pending } else { Pin::new(&mut self.io).poll_read(cx, buffer) }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Freezable<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.frozen.is_cancelled() { Poll::Pending } else { Pin::new(&mut self.io).poll_write(cx, bytes) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.frozen.is_cancelled() { Poll::Pending } else { Pin::new(&mut self.io).poll_flush(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}
