//! In strict mode only the mesh is let in.

use super::{agents::Agent, client::Request, world::World};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{io, net::TcpStream, sync::Arc, time::Duration};

/// Takes any certificate of a server: what is tried is whom the server takes. Signatures are checked all the same.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A request to the workload's Envoy over TLS, with an agent's certificate or without any.
fn over_tls(world: &World, agent: Option<&Agent>) -> io::Result<(u16, String)> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)));
    let mut config = match agent {
        Some(agent) => config.with_client_auth_cert(agent.chain().unwrap(), agent.key().unwrap()).unwrap(),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"istio".to_vec()];
    let name = ServerName::try_from("workload.example").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let stream = TcpStream::connect(world.workload)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    plain(world).over(StreamOwned::new(connection, stream))
}

fn plain(world: &World) -> Request<'static> {
    Request { to: world.workload, target: "/", host: "any.example", marker: "" }
}

#[test]
fn strict_mode_takes_the_mesh_alone() {
    let Some(world) = World::start("{mesh: {mtls: {mode: STRICT}}}") else { return };
    let served = world.app.requests();
    let error = plain(&world).answer().unwrap_err();
    assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "plaintext is refused, not left waiting: {error}");
    let error = over_tls(&world, None).unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "TLS without a certificate: {error}");
    assert_eq!(world.app.requests(), served, "nothing of it came through");

    // That it was for the certificate shows with one.
    let [gateway, _] = world.agents();
    let (status, body) = over_tls(&world, Some(&gateway)).unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("URI=spiffe://cluster.local/ns/shop/sa/"), "{body}");
}

#[test]
fn permissive_mode_takes_plaintext_too() {
    let Some(world) = World::start("{}") else { return };
    assert_eq!(plain(&world).answer().unwrap(), (200, String::new()));
    let (status, body) = world.get("/").unwrap();
    assert!(status == 200 && body.contains("Hash="), "{body}");
}
