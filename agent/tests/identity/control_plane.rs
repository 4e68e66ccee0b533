//! A control plane that issues certificates, over TLS.

use super::{ca::Ca, listener::Listeners};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    DEFAULT_VERSIONS, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS12,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tombolo_proto::{
    agent::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse, DELTA_ADS},
    envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};
use tonic::{Request, Response, Status, body::Body, server::Grpc, server::UnaryService};
use tonic_prost::ProstCodec;

pub(crate) const ID: &str = "spiffe://cluster.local/ns/shop/sa/reviews";
/// The name on its certificate.
pub(crate) const NAME: &str = "tombolod.tombolo-system.svc";

/// What came with a request for a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) authorization: Option<String>,
    pub(crate) shown: Option<CertificateDer<'static>>,
    pub(crate) request: CertificateRequest,
}

/// What it does with requests.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Issues what lasts so long, to who shows a token or a certificate.
    Issue(Duration),
    /// Says no.
    Refuse(Status),
}

pub(crate) struct ControlPlane {
    pub(crate) address: SocketAddr,
    pub(crate) ca: Arc<Ca>,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    ca: Arc<Ca>,
    behaviour: Mutex<Behaviour>,
    seen: Mutex<Vec<Seen>>,
    called: Mutex<Vec<String>>,
}

impl ControlPlane {
    pub(crate) async fn start(lifetime: Duration) -> Self {
        let ca = Arc::new(Ca::new("mesh"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, ca, lifetime)
    }

    /// One that ends the handshake of certificates of other roots.
    pub(crate) async fn strict() -> Self {
        let (ca, listener) = (Arc::new(Ca::new("another")), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.root().as_bytes()).unwrap()).unwrap();
        let provider = aws_lc_rs::default_provider().into();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        let verifier = verifier.allow_unauthenticated().build().unwrap();
        Self::with(listener, Duration::from_secs(3600), acceptor(&ca, verifier, DEFAULT_VERSIONS), ca)
    }

    /// One that speaks TLS 1.2 and no other.
    pub(crate) async fn of_yesterday() -> Self {
        let (ca, listener) = (Arc::new(Ca::new("mesh")), TcpListener::bind("127.0.0.1:0").await.unwrap());
        Self::with(listener, Duration::from_secs(3600), acceptor(&ca, Arc::new(Anybody), &[&TLS12]), ca)
    }

    pub(crate) fn on(listener: TcpListener, ca: Arc<Ca>, lifetime: Duration) -> Self {
        Self::with(listener, lifetime, acceptor(&ca, Arc::new(Anybody), DEFAULT_VERSIONS), ca)
    }

    fn with(listener: TcpListener, lifetime: Duration, acceptor: TlsAcceptor, ca: Arc<Ca>) -> Self {
        let address = listener.local_addr().unwrap();
        let behaviour = Mutex::new(Behaviour::Issue(lifetime));
        let (seen, called) = Default::default();
        let state = Arc::new(State { ca: ca.clone(), behaviour, seen, called });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            // Dropped with the task, so that a control plane that is killed ends its connections.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                connections.spawn(serve(stream, acceptor.clone(), shared.clone()));
            }
        });
        Self { address, ca, state, task }
    }

    /// Ends it: once this returns nobody listens any more.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    /// The path of every call so far.
    pub(crate) fn called(&self) -> Vec<String> {
        self.state.called.lock().unwrap().clone()
    }

    /// Every request for a certificate so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, state: Arc<State>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let shown = stream.get_ref().1.peer_certificates().map(|chain| chain[0].clone().into_owned());
    let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        let (state, shown) = (state.clone(), shown.clone());
        async move {
            state.called.lock().unwrap().push(request.uri().path().to_owned());
            if request.uri().path() == DELTA_ADS {
                let codec = ProstCodec::<DeltaDiscoveryResponse, DeltaDiscoveryRequest>::default();
                return Ok(Grpc::new(codec).streaming(Listeners, request).await);
            }
            if request.uri().path() != CREATE_CERTIFICATE {
                return Ok::<http::Response<Body>, Infallible>(Status::unimplemented("not here").into_http());
            }
            assert_eq!(request.uri().authority().unwrap(), NAME);
            request.extensions_mut().insert(Shown(shown));
            let codec = ProstCodec::<CertificateResponse, CertificateRequest>::default();
            Ok(Grpc::new(codec).unary(Issue(state), request).await)
        }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[derive(Clone)]
struct Shown(Option<CertificateDer<'static>>);

struct Issue(Arc<State>);

impl UnaryService<CertificateRequest> for Issue {
    type Response = CertificateResponse;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<CertificateResponse>, Status>> + Send + 'static>>;

    fn call(&mut self, request: Request<CertificateRequest>) -> Self::Future {
        let state = self.0.clone();
        Box::pin(async move {
            let authorization = request.metadata().get("authorization").map(|v| v.to_str().unwrap().to_owned());
            let shown = request.extensions().get::<Shown>().unwrap().0.clone();
            let proven = authorization.is_some() || shown.is_some();
            let request = request.into_inner();
            state.seen.lock().unwrap().push(Seen { authorization, shown, request: request.clone() });
            let behaviour = state.behaviour.lock().unwrap().clone();
            match behaviour {
                Behaviour::Issue(lifetime) if proven => {
                    let now = SystemTime::now();
                    let since = now - Duration::from_secs(120);
                    let cert_chain = state.ca.issue(&request.csr, ID, since, now + lifetime);
                    Ok(Response::new(CertificateResponse { cert_chain }))
                }
                Behaviour::Issue(_) => Err(Status::unauthenticated("neither a token nor a certificate")),
                Behaviour::Refuse(status) => Err(status),
            }
        })
    }
}

fn acceptor(
    ca: &Ca,
    verifier: Arc<dyn ClientCertVerifier>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    let (chain, key) = ca.server(NAME);
    let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Lets everybody in who holds the key of the certificate that is shown, as a control plane does that lets machines come back.
#[derive(Debug)]
struct Anybody;

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
