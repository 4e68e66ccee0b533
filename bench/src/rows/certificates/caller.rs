//! An agent's side of the certificate service: one connection that is kept, one request at a time.

use super::super::secured::{Held, Secured, server_name};
use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use prost::Message as _;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tombolo_proto::agent::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse};

/// Whether a gRPC message is compressed, and its length.
const PREFIX: usize = 5;

/// One connection. Clones are the same one.
#[derive(Clone)]
pub(super) struct Caller {
    connection: SendRequest<Bytes>,
    request: Request<()>,
    message: Bytes,
}

/// A TLS connection to the control plane.
pub(in crate::rows) async fn secure(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let io = TcpStream::connect(address).await?;
    io.set_nodelay(true)?;
    Ok(TlsConnector::from(config).connect(server_name()?, io).await?)
}

/// The workload's first certificate, by its token.
pub(in crate::rows) async fn obtain(secured: &Secured) -> anyhow::Result<Held> {
    let key = KeyPair::generate()?;
    let token = secured.token()?;
    let caller = Caller::with_key(secured.address, secured.client(None)?, Some(&token), &key).await?;
    let pems = caller.ask().await?.cert_chain;
    let mut chain =
        pems.iter().map(|pem| CertificateDer::from_pem_slice(pem.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    chain.pop(); // the root, which the server has itself
    Ok(Held { chain, key: key.serialize_der() })
}

/// A request for a certificate of this key, PEM.
pub(super) fn csr(key: &KeyPair) -> anyhow::Result<String> {
    Ok(CertificateParams::default().serialize_request(key)?.pem()?)
}

impl Caller {
    /// Connects. Every request is the same one: whatever the server keeps of it would show.
    pub(super) async fn connect(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        token: Option<&str>,
    ) -> anyhow::Result<Self> {
        Self::with_key(address, config, token, &KeyPair::generate()?).await
    }

    async fn with_key(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        token: Option<&str>,
        key: &KeyPair,
    ) -> anyhow::Result<Self> {
        let (sender, connection) = h2::client::handshake(secure(address, config).await?).await?;
        tokio::spawn(connection);
        let request = Request::post(format!("https://localhost{CREATE_CERTIFICATE}"));
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let wanted = CertificateRequest { csr: csr(key)?, ..CertificateRequest::default() };
        let mut message = BytesMut::with_capacity(PREFIX + wanted.encoded_len());
        message.put_u8(0);
        message.put_u32(u32::try_from(wanted.encoded_len())?);
        wanted.encode(&mut message)?;
        Ok(Self { connection: sender, request: request.body(())?, message: message.freeze() })
    }

    /// Gets a certificate.
    pub(super) async fn ask(&self) -> anyhow::Result<CertificateResponse> {
        let mut connection = self.connection.clone().ready().await?;
        let (response, mut body) = connection.send_request(self.request.clone(), false)?;
        body.send_data(self.message.clone(), true)?;
        let (head, mut body) = response.await?.into_parts();
        granted(&head.headers)?;
        let mut message = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            message.extend_from_slice(&data);
        }
        if let Some(trailers) = body.trailers().await? {
            granted(&trailers)?;
        }
        Ok(CertificateResponse::decode(message.get(PREFIX..).context("an answer without a message")?)?)
    }
}

fn granted(headers: &HeaderMap) -> anyhow::Result<()> {
    let status = headers.get("grpc-status").map_or(&b"0"[..], |status| status.as_bytes());
    let message = headers.get("grpc-message").and_then(|message| message.to_str().ok()).unwrap_or_default();
    ensure!(status == b"0", "refused: {message}");
    Ok(())
}
