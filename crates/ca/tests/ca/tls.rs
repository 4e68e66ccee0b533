//! The service as agents meet it: gRPC over HTTP/2 over TLS on a socket.

use crate::support::{DAY, HOUR, Identity, Mesh, request};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, pki_types::ServerName, version};
use rustls_pki_types::CertificateDer;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tombolo_ca::{
    CertificateService, PeerAddress, PeerCertificates, RotationPolicy, ServerCertificate, ServerNames, Signer as _,
    server_config,
};
use tombolo_proto::agent::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse};
use tonic::Code;

const ONLY_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];
const ONLY_1_2: &[&SupportedProtocolVersion] = &[&version::TLS12];
const TIMEOUT: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    certificate: Arc<ServerCertificate>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server on loopback, at the real time: TLS asks the clock.
async fn serve(mesh: &Mesh) -> Server {
    let names = ServerNames { dns: vec!["localhost".into()], ips: vec![[127, 0, 0, 1].into()] };
    let certificate = Arc::new(ServerCertificate::obtain(&*mesh.signer, names, SystemTime::now()).await.unwrap());
    let config = server_config(&mesh.authority, certificate.clone()).unwrap();
    let (acceptor, service) = (TlsAcceptor::from(Arc::new(config)), CertificateService::new(mesh.authority.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, peer)) = listener.accept().await {
            let (acceptor, service) = (acceptor.clone(), service.clone());
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default().iter().cloned().collect();
                let certificates = PeerCertificates(certificates);
                let answer = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
                    request.extensions_mut().insert(certificates.clone());
                    request.extensions_mut().insert(PeerAddress(peer));
                    let service = service.clone();
                    async move { Ok::<_, std::convert::Infallible>(service.respond(request).await) }
                });
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    Server { address, certificate, task }
}

/// What a client brings and trusts.
struct Client<'a> {
    roots: &'a [CertificateDer<'static>],
    identity: Option<&'a Identity>,
    versions: &'a [&'static SupportedProtocolVersion],
}

impl<'a> Client<'a> {
    fn new(roots: &'a [CertificateDer<'static>], identity: Option<&'a Identity>) -> Self {
        Self { roots, identity, versions: ONLY_1_3 }
    }

    async fn connect(&self, server: &Server) -> std::io::Result<SendRequest<Full<Bytes>>> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.roots.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(store);
        let mut config = match self.identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.private_key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(server.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Calls the method; the answer, or the status.
async fn call(
    sender: &mut SendRequest<Full<Bytes>>,
    token: Option<&str>,
    message: &[u8],
) -> Result<Result<CertificateResponse, (Code, String)>, hyper::Error> {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    let uri: Uri = format!("https://localhost{CREATE_CERTIFICATE}").parse().unwrap();
    let mut request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", format!("bearer {token}"));
    }
    let call = async {
        let response = sender.send_request(request.body(Full::new(frame.freeze())).unwrap()).await?;
        let headers = response.headers().clone();
        let body = response.into_body().collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let status = tonic::Status::from_header_map(&trailers).or(tonic::Status::from_header_map(&headers)).unwrap();
        if status.code() != Code::Ok {
            return Ok(Err((status.code(), status.message().to_owned())));
        }
        let mut bytes = body.to_bytes();
        bytes.advance(5);
        Ok(Ok(CertificateResponse::decode(bytes).unwrap()))
    };
    tokio::time::timeout(TIMEOUT, call).await.expect("the server answers")
}

/// One request over a connection of its own; `None` where TLS or HTTP/2 ended before an answer.
async fn ask(
    server: &Server,
    client: Client<'_>,
    token: Option<&str>,
    message: &[u8],
) -> Option<Result<CertificateResponse, (Code, String)>> {
    let mut sender = client.connect(server).await.ok()?;
    call(&mut sender, token, message).await.ok()
}

fn asked(key: &KeyPair) -> Vec<u8> {
    request(key).encode_to_vec()
}

async fn renew(server: &Server, identity: &Identity) -> Identity {
    let key = KeyPair::generate().unwrap();
    let response =
        ask(server, Client::new(&identity.roots, Some(identity)), None, &asked(&key)).await.unwrap().unwrap();
    Identity::new(key, &response)
}

#[tokio::test]
async fn a_workload_joins_by_token_and_renews_by_certificate() {
    let mesh = Mesh::at(SystemTime::now());
    let server = serve(&mesh).await;
    let roots = mesh.authority.bundle().roots().ders().to_vec();
    for versions in [ONLY_1_3, ONLY_1_2] {
        for key in
            [KeyPair::generate().unwrap(), KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()]
        {
            let client = Client { versions, ..Client::new(&roots, None) };
            let response = ask(&server, client, Some(&mesh.token()), &asked(&key)).await.unwrap().unwrap();
            let identity = Identity::new(key, &response);
            renew(&server, &renew(&server, &identity).await).await;
        }
    }
    assert_eq!(mesh.authority.telemetry().issued_by("certificate"), 8);
}

#[tokio::test]
async fn refusals_are_statuses_that_name_the_fix() {
    let mesh = Mesh::at(SystemTime::now());
    let server = serve(&mesh).await;
    let roots = mesh.authority.bundle().roots().ders().to_vec();
    let good = asked(&KeyPair::generate().unwrap());
    let oversized = CertificateRequest { csr: "x".repeat(70 * 1024), ..CertificateRequest::default() }.encode_to_vec();
    let token = mesh.token();
    let cases: [(Option<&str>, &[u8], Code, &str); 5] = [
        (None, &good, Code::Unauthenticated, "Bearer"),
        (Some("x"), &good, Code::Unauthenticated, "token"),
        (Some(&token), b"", Code::InvalidArgument, "PKCS #10"),
        (Some(&token), &oversized, Code::OutOfRange, "limit"),
        (Some(&token), b"\xff\xff\xff\xff", Code::Internal, "decode"),
    ];
    for (token, message, code, text) in cases {
        let answer = ask(&server, Client::new(&roots, None), token, message).await.unwrap();
        let (found, message) = answer.unwrap_err();
        assert!(found == code && message.contains(text), "{code:?} {text}: {found:?} {message}");
    }
}

#[tokio::test]
async fn a_certificate_that_expired_yesterday_passes_the_handshake_and_one_of_before_the_window_does_not() {
    let mut mesh = Mesh::at(SystemTime::now() - 2 * DAY);
    let yesterday = mesh.join().await;
    mesh.now = SystemTime::now() - 9 * DAY;
    let long_ago = mesh.join().await;
    mesh.now = SystemTime::now();
    let server = serve(&mesh).await;
    renew(&server, &yesterday).await;
    let key = KeyPair::generate().unwrap();
    let roots = &yesterday.roots;
    assert!(ask(&server, Client::new(roots, Some(&long_ago)), None, &asked(&key)).await.is_none());
    assert_eq!(mesh.authority.telemetry().refused_for("certificate_expired"), 1, "counted, although no request came");
    let foreign = Mesh::at(mesh.now).join().await;
    assert!(ask(&server, Client::new(roots, Some(&foreign)), Some(&mesh.token()), &asked(&key)).await.is_none());
    assert_eq!(mesh.authority.telemetry().refused_for("foreign_root"), 1);
}

/// The handshake of TLS 1.1, byte by byte: libraries of today cannot make it any more.
#[tokio::test]
async fn tls_1_1_is_refused() {
    let mesh = Mesh::at(SystemTime::now());
    let server = serve(&mesh).await;
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..],  // supported_groups: P-256
        &[0, 11, 0, 2, 1, 0],             // ec_point_formats: uncompressed
        &[0, 13, 0, 6, 0, 4, 4, 3, 4, 1], // signature_algorithms, which 1.1 does not know: only the version is at fault
    ]
    .concat();
    let body = [
        &[3, 2][..],                            // client_version: TLS 1.1
        &[7; 32],                               // random
        &[0],                                   // no session
        &[0, 6, 0xc0, 0x2b, 0xc0, 0x09, 0, 47], // two for the server's ECDSA key, one for any
        &[1, 0],                                // no compression
        &[0, u8::try_from(extensions.len()).unwrap()],
        &extensions,
    ]
    .concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let alert = [21, answer[1], answer[2], 0, 2, 2, 70];
    assert_eq!(answer, alert, "a fatal alert: protocol_version");
}

/// While the root is rotated: a connection of before goes on, who knows only the old root is served, who knows only the new one too.
#[tokio::test]
async fn a_rotation_breaks_no_connection_and_no_handshake() {
    let mut mesh = Mesh::at(SystemTime::now());
    let server = serve(&mesh).await;
    let old = mesh.join().await;
    let mut open = Client::new(&old.roots, Some(&old)).connect(&server).await.unwrap();
    let quick = RotationPolicy { announce: HOUR, ..RotationPolicy::default() };
    let announced = mesh.roots.rotate(&quick, mesh.now).unwrap();
    let switched = announced.advance(&quick, mesh.now + HOUR).unwrap().unwrap();
    for roots in [announced, switched] {
        assert!(!server.certificate.due(&*mesh.signer, mesh.now));
        mesh.adopt(roots);
        // The signer has changed, the server's certificate not yet: it must do in between.
        renew(&server, &old).await;
        assert!(server.certificate.due(&*mesh.signer, mesh.now));
        server.certificate.renew(&*mesh.signer, mesh.now).await.unwrap();
        let fresh = renew(&server, &old).await;
        renew(&server, &fresh).await;
        let last = &fresh.roots[fresh.roots.len() - 1..];
        let key = KeyPair::generate().unwrap();
        let by_last = Client::new(last, Some(&old));
        assert!(ask(&server, by_last, None, &asked(&key)).await.unwrap().is_ok());
        assert!(call(&mut open, None, &asked(&key)).await.unwrap().is_ok());
    }
    assert!(server.certificate.due(&*mesh.signer, mesh.now + 16 * HOUR), "at two thirds of its life");
    assert_eq!(mesh.signer.trust().roots().ders().len(), 2);
}
