//! The port that asks who calls: TLS, and behind it ADS and the certificate service.

use super::Mesh;
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use hyper::{Request, Response, body::Incoming, service::Service};
use std::{
    convert::Infallible,
    future::Future,
    io::IoSlice,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tombolo_ca::{CertificateService, PeerAddress, PeerCertificates};
use tombolo_xds::{AdsService, Block, Front, Peer};
use tonic::Status;

/// HTTP/2's library copies smaller pieces of a message together with headers and trailers, and flushes after a larger one. So an
/// answer in pieces of this size is one TLS record and one packet, where it would be two.
const PIECE: usize = 255;
/// A caller that has not shaken hands by then is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Lets in who can prove who they are, to ADS and to the certificate service. What the proof is, each request says: a token, or
/// the client certificate of its connection.
#[derive(Clone)]
pub struct SecureFront {
    tls: TlsAcceptor,
    mesh: Arc<Mesh>,
}

impl SecureFront {
    pub(super) fn new(tls: TlsAcceptor, mesh: Arc<Mesh>) -> Self {
        Self { tls, mesh }
    }
}

impl Front for SecureFront {
    type Io = TlsStream<TcpStream>;
    type Service = Gate;
    type Body = Answer;

    async fn admit(self, io: TcpStream, ads: AdsService) -> Option<(Self::Io, Gate)> {
        let address = io.peer_addr().ok()?;
        let stream = match tokio::time::timeout(HANDSHAKE, self.tls.accept(io)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::info!(%address, "no TLS with this caller: {error}");
                return None;
            }
            Err(_) => {
                tracing::info!(%address, "no TLS with this caller: it took longer than {} s", HANDSHAKE.as_secs());
                return None;
            }
        };
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificates = PeerCertificates(certificates.iter().map(|der| der.clone().into_owned()).collect());
        Some((stream, Gate { ads, mesh: self.mesh, certificates, address }))
    }
}

/// The requests of one connection: each to the service that it is for, ADS with who the caller proved to be.
#[derive(Clone)]
pub struct Gate {
    ads: AdsService,
    mesh: Arc<Mesh>,
    certificates: PeerCertificates,
    address: SocketAddr,
}

impl Gate {
    async fn answer(self, mut request: Request<Incoming>) -> Response<Answer> {
        request.extensions_mut().insert(self.certificates);
        request.extensions_mut().insert(PeerAddress(self.address));
        if CertificateService::serves(request.uri().path()) {
            return self.mesh.certificates.clone().respond(request).await.map(Answer::other);
        }
        let (now, authority) = (self.mesh.clock.now(), &self.mesh.authority);
        let proof = tombolo_ca::proof(request.headers(), request.extensions());
        match authority.authenticate(proof, now).await {
            Ok(caller) => {
                request.extensions_mut().insert(Peer { id: caller.id, instance: caller.instance });
                self.ads.respond(request).map(Answer::Ads)
            }
            Err(refusal) => Status::from(&refusal).into_http().map(Answer::other),
        }
    }
}

impl Service<Request<Incoming>> for Gate {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move { Ok(gate.answer(request).await) })
    }
}

/// The body of an answer, of either service.
pub enum Answer {
    /// Of ADS.
    Ads(tombolo_xds::Body<Incoming>),
    /// Of another service, and what of its last frame is still to go.
    Other(tonic::body::Body, Bytes),
}

impl Answer {
    fn other(body: tonic::body::Body) -> Self {
        Self::Other(body, Bytes::new())
    }
}

/// A piece of an [`Answer`].
pub enum Piece {
    /// Of ADS.
    Ads(Block),
    /// Of another service.
    Other(Bytes),
}

impl http_body::Body for Answer {
    type Data = Piece;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Status>>> {
        match self.get_mut() {
            Self::Ads(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map(|f| f.map_data(Piece::Ads)).map_err(|never| match never {}))),
            Self::Other(body, rest) => {
                if rest.is_empty() {
                    match ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                        Some(Ok(Ok(data))) => *rest = data,
                        Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame.map_data(Piece::Other)))),
                        Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                        None => return Poll::Ready(None),
                    }
                }
                let piece = rest.split_to(rest.len().min(PIECE));
                Poll::Ready(Some(Ok(Frame::data(Piece::Other(piece)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ads(body) => body.is_end_stream(),
            Self::Other(body, rest) => rest.is_empty() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ads(body) => body.size_hint(),
            Self::Other(..) => SizeHint::default(),
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        match self {
            Self::Ads(block) => block.remaining(),
            Self::Other(bytes) => bytes.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Ads(block) => block.chunk(),
            Self::Other(bytes) => bytes.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Ads(block) => block.chunks_vectored(dst),
            Self::Other(bytes) => bytes.chunks_vectored(dst),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Ads(block) => block.advance(count),
            Self::Other(bytes) => bytes.advance(count),
        }
    }
}
