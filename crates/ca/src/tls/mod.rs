//! TLS of port 15012: versions 1.2 and 1.3, a client certificate where there is one, HTTP/2.
//!
//! Everything that a rotation changes is read at each handshake: the roots that clients are checked against, and the chain that the
//! server shows. Nothing has to be restarted, and connections that are open stay so.

mod clients;
mod server;

pub use clients::ClientCertificates;
pub use server::{ServerCertificate, ServerError};

use crate::Authority;
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, ResolvesServerCert},
};
use std::sync::Arc;

/// The configuration of the server: shows what `certificate` holds, takes clients by `authority`'s roots.
///
/// Clients without a certificate pass the handshake, as those do who have only a token yet; what each request needs is for
/// [`Authority::issue`] and [`Authority::authenticate`] to say.
///
/// # Errors
/// Where the cryptographic library does not offer TLS 1.2 and 1.3.
pub fn server_config(
    authority: &Authority,
    certificate: Arc<ServerCertificate>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = Arc::new(ClientCertificates::new(authority, &provider));
    let resolver: Arc<dyn ResolvesServerCert> = certificate;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would bring along a certificate that was checked against the roots of then.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
