//! An agent as Istio's are on the wire: gRPC over TLS, proven by a bearer token or by a certificate.

use super::wire;
use bytes::{Buf, Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, Request};
use prost::Message;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SanType};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;

/// Only failures take it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How machines reach the control plane: the name in their `hosts`.
pub(crate) const SERVER: &str = "istiod.istio-system.svc";

/// What a call ended with.
pub(crate) type Refused = (Code, String);

/// Waits for something that must happen.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it does not happen")
}

/// A key, and the certificate that was issued for it.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) chain: Vec<String>,
    pub(crate) key: String,
}

/// What proves who asks.
#[derive(Clone)]
pub(crate) enum Proof {
    Nothing,
    Token(String),
    Certificate(Certificate),
}

/// A connection.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    token: Option<String>,
}

impl Connection {
    /// Believes the server by these roots alone.
    pub(crate) async fn open(address: SocketAddr, roots: &str, proof: &Proof) -> Self {
        let mut store = RootCertStore::empty();
        CertificateDer::pem_slice_iter(roots.as_bytes()).for_each(|root| store.add(root.unwrap()).unwrap());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(store);
        let mut config = match proof {
            Proof::Certificate(Certificate { chain, key }) => {
                let chain = chain.concat();
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
            Proof::Nothing | Proof::Token(_) => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let io = within(TcpStream::connect(address)).await.unwrap();
        let name = ServerName::try_from(SERVER).unwrap();
        let io = within(TlsConnector::from(Arc::new(config)).connect(name, io)).await.unwrap();
        let (sender, connection) = within(h2::client::handshake(io)).await.unwrap();
        tokio::spawn(connection);
        let token = if let Proof::Token(token) = proof { Some(token.clone()) } else { None };
        Self { sender, token }
    }

    /// To a port that asks nobody who he is.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        let io = within(TcpStream::connect(address)).await.unwrap();
        let (sender, connection) = within(h2::client::handshake(io)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, token: None }
    }

    /// Calls a method.
    pub(crate) async fn call(&self, path: &str) -> Call {
        let mut request = Request::post(format!("https://{SERVER}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("clusterid", "Kubernetes");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut sender = self.sender.clone().ready().await.unwrap();
        let (response, out) = sender.send_request(request.body(()).unwrap(), false).unwrap();
        Call { out, response: Some(response), body: None, headers: HeaderMap::new(), buffer: BytesMut::new() }
    }

    /// Asks for a certificate for a new key. `san` goes into the request.
    pub(crate) async fn certificate(&self, san: Option<&str>) -> Result<Certificate, Refused> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = san.map(|san| SanType::URI(san.try_into().unwrap())).into_iter().collect();
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        let request = wire::CertificateRequest { csr, validity_duration: 24 * 3600, metadata: None };
        let mut call = self.call(wire::CREATE_CERTIFICATE).await;
        call.send(&request);
        call.finish();
        let wire::CertificateResponse { cert_chain } = call.receive().await?;
        Ok(Certificate { chain: cert_chain, key: key.serialize_pem() })
    }
}

/// A call that goes on.
pub(crate) struct Call {
    out: SendStream<Bytes>,
    response: Option<h2::client::ResponseFuture>,
    body: Option<RecvStream>,
    headers: HeaderMap,
    buffer: BytesMut,
}

impl Call {
    pub(crate) fn send(&mut self, message: &impl Message) {
        let body = message.encode_to_vec();
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        // A call that was refused has ended: its status says so.
        _ = self.out.send_data([&[0][..], &len, &body].concat().into(), false);
    }

    fn finish(&mut self) {
        _ = self.out.send_data(Bytes::new(), true); // likewise
    }

    /// The next message, or how the call ended.
    pub(crate) async fn receive<M: Message + Default>(&mut self) -> Result<M, Refused> {
        within(self.next()).await
    }

    async fn next<M: Message + Default>(&mut self) -> Result<M, Refused> {
        if let Some(response) = self.response.take() {
            let (head, body) = response.await.unwrap().into_parts();
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
            let Some(data) = body.data().await else { break };
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            self.buffer.extend_from_slice(&data);
        }
        let trailers = body.trailers().await.unwrap().unwrap_or_default();
        let headers = if trailers.is_empty() { &self.headers } else { &trailers };
        let text = |key| headers.get(key).map_or("", |value| value.to_str().unwrap()).to_owned();
        Err((Code::from_bytes(text("grpc-status").as_bytes()), text("grpc-message")))
    }
}
