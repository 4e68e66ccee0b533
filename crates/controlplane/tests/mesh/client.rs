//! Callers: over plain HTTP, and by TLS with whatever they have to show.

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

/// A certificate chain and its key, PEM.
pub(crate) struct Certificate {
    /// The chain.
    pub(crate) chain: String,
    /// The key.
    pub(crate) key: String,
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP's.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

/// One request; `None` where there is no answer. A `target` that is a whole URL is for a proxy.
pub(crate) fn get(at: SocketAddr, target: &str, headers: &str) -> Option<Answer> {
    let text = exchange(&mut connect(at).ok()?, target, headers).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// One request by TLS, which proposes these protocols (ALPN), and shows this certificate. All of the answer, as it came.
pub(crate) fn get_tls(at: SocketAddr, alpn: &[&str], certificate: Option<&Certificate>) -> io::Result<String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.unwrap().dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    let mut config = match certificate {
        Some(Certificate { chain, key }) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|word| word.as_bytes().to_vec()).collect();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("reviews").unwrap());
    exchange(&mut StreamOwned::new(connection.unwrap(), connect(at)?), "/", "")
}

fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn exchange(stream: &mut (impl Read + Write), target: &str, headers: &str) -> io::Result<String> {
    let host = target.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or("reviews");
    write!(stream, "GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    // Some servers close without the last word of TLS: what came before counts.
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => return Err(error),
        _ if answer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
        _ => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Believes every server: whom it speaks to is not the question here.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
