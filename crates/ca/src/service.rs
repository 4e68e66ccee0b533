//! `istio.v1.auth.IstioCertificateService`: the gRPC method by which agents get certificates.

use crate::{Authority, Proof, Refusal};
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use http_body::Body as HttpBody;
use rustls_pki_types::CertificateDer;
use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tombolo_proto::agent::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse};
use tonic::{Status, body::Body, server::Grpc};
use tonic_prost::ProstCodec;

/// A request with the largest certificate request fits twice.
const MAX_MESSAGE: usize = 64 * 1024;
/// A signer may have to wait for somebody; a client that sends half a message may not be waited for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The client's certificates as TLS took them, leaf first. The server puts them into each request's extensions.
#[derive(Clone, Debug, Default)]
pub struct PeerCertificates(pub Arc<[CertificateDer<'static>]>);

/// Where a connection comes from, for the audit. In each request's extensions too.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What a request brings along to prove who sent it, for [`Authority::issue`] and [`Authority::authenticate`].
pub fn proof<'a>(headers: &'a HeaderMap, extensions: &'a http::Extensions) -> Proof<'a> {
    Proof {
        token: bearer(headers),
        chain: extensions.get::<PeerCertificates>().map_or(&[], |certificates| &certificates.0),
        peer: extensions.get::<PeerAddress>().map(|address| address.0),
    }
}

/// The token of `authorization: Bearer TOKEN` (RFC 6750, section 2.1; the scheme is not case-sensitive).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// Serves certificates.
#[derive(Clone)]
pub struct CertificateService {
    authority: Arc<Authority>,
    clock: Clock,
}

impl CertificateService {
    /// By the system's clock.
    pub fn new(authority: Arc<Authority>) -> Self {
        Self::with_clock(authority, Arc::new(SystemTime::now))
    }

    /// By another clock.
    pub fn with_clock(authority: Arc<Authority>, clock: Clock) -> Self {
        Self { authority, clock }
    }

    /// Whether a request's path is served here.
    pub fn serves(path: &str) -> bool {
        path == CREATE_CERTIFICATE
    }

    /// Answers a request. Failures are gRPC statuses.
    pub async fn respond<B>(self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let path = request.uri().path();
        if !Self::serves(path) {
            return Status::unimplemented(format!("{path} is not served here")).into_http();
        }
        let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(MAX_MESSAGE);
        let answer = tokio::time::timeout(TIMEOUT, grpc.unary(self, request)).await;
        answer.unwrap_or_else(|_| Status::deadline_exceeded("the request took longer than 30 s").into_http())
    }

    async fn create(
        &self,
        request: tonic::Request<CertificateRequest>,
    ) -> Result<tonic::Response<CertificateResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let headers = metadata.into_headers();
        let now = (self.clock)();
        let outcome = self.authority.issue(proof(&headers, &extensions), &request, now).await;
        outcome.map(tonic::Response::new).map_err(|refusal: Refusal| Status::from(&refusal))
    }
}

impl std::fmt::Debug for CertificateService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CertificateService")
    }
}

impl tonic::server::UnaryService<CertificateRequest> for CertificateService {
    type Response = CertificateResponse;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<CertificateResponse>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<CertificateRequest>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { service.create(request).await })
    }
}

impl<B> tower::Service<Request<B>> for CertificateService
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.respond(request).await) })
    }
}
