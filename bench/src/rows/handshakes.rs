//! Row tls-handshakes: whole TLS 1.3 handshakes with a client certificate, against a server that does nothing else.

use super::{
    Measured, RowId,
    certificates::{obtain, secure},
    secured::Secured,
};
use rcgen::KeyPair;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;
use tombolo_bench::{clock::cpu_of_others, fixture::Mesh, machine, report::Pairs};

const MESH: Mesh = Mesh { services: 100, endpoints: 1, namespaces: 1 };
/// Handshakes of one measurement.
const HANDSHAKES: usize = 500;

pub(super) fn measure() -> anyhow::Result<Measured> {
    let cpus = machine::cpus()?;
    cpus.first().copied().map_or(Ok(()), machine::pin)?;
    let secured = Secured::start(MESH)?;
    let (floor, root) = plain(secured.subject.runtime()?, &secured)?;
    cpus.last().copied().map_or(Ok(()), machine::pin)?;
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = secured.client(Some(&client.block_on(obtain(&secured))?))?;
    let (ours, other) = (config.clone(), believing(&config, root, &client, &secured)?);
    let rate = |address: SocketAddr, config: &Arc<ClientConfig>| {
        let (done, took) = cpu_of_others(|| client.block_on(shake(address, config)));
        done.map(|()| HANDSHAKES as f64 / took.as_secs_f64())
    };
    let pairs = Pairs::measure(Pairs::LEAST, || rate(secured.address, &ours), || rate(floor, &other))?;
    let (Some(ratio), Some(ours), Some(floor)) = (pairs.ratio(), pairs.measured(), pairs.floor()) else {
        anyhow::bail!("no time was measured");
    };
    let note = format!("pairs {ratio}; ours {:.0}/s, bare {:.0}/s", ours.median, floor.median);
    let title = "TLS handshakes with a client certificate per second of server CPU, over bare rustls";
    Ok(RowId::TlsHandshakes.row(title, ratio.median, note).into())
}

/// One after the other. The server's first byte says that it has taken the client's certificate.
async fn shake(address: SocketAddr, config: &Arc<ClientConfig>) -> anyhow::Result<()> {
    for _ in 0..HANDSHAKES {
        secure(address, config.clone()).await?.read_u8().await?;
    }
    Ok(())
}

/// A server that shakes hands, says one byte, and closes; and the root of its certificate. It takes the same clients.
fn plain(runtime: &Runtime, secured: &Secured) -> anyhow::Result<(SocketAddr, CertificateDer<'static>)> {
    let key = KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?.der().clone();
    let mut clients = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(secured.roots().as_bytes()) {
        clients.add(root?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(clients.into(), provider.clone()).build()?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.send_tls13_tickets = 0;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(config))));
    Ok((address, certificate))
}

async fn accept(listener: TcpListener, tls: TlsAcceptor) {
    // A handshake that fails is seen by the client, which the measurement then fails by.
    while let Ok((io, _)) = listener.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            if let Ok(mut stream) = tls.accept(io).await {
                _ = stream.write_all(b"!").await;
                _ = stream.shutdown().await;
            }
        });
    }
}

/// The same client, but that it believes another server.
fn believing(
    config: &ClientConfig,
    root: CertificateDer<'static>,
    client: &Runtime,
    secured: &Secured,
) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(root)?;
    let held = client.block_on(obtain(secured))?;
    let mut other = ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(held.chain.clone(), held.private_key()?)?;
    other.alpn_protocols.clone_from(&config.alpn_protocols);
    other.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(other))
}
