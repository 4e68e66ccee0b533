//! A real Envoy whose listener gets its certificate by SDS.

use super::world::DEADLINE;
use rustls::{
    ClientConfig, RootCertStore,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::TlsConnector;
use tombolo_proto::bootstrap::{Bootstrap, Endpoint, Limits, OWN_CERTIFICATE, ROOTS, SDS_CLUSTER};

/// An Envoy; killed when dropped.
pub(crate) struct Envoy {
    process: Child,
    dir: TempDir,
    /// Of the listener with TLS.
    pub(crate) address: SocketAddr,
}

/// The binary; `None`, with a word about it, where there is none. With `CI=true` that is a failure.
pub(crate) fn binary() -> Option<PathBuf> {
    let cache = || {
        let base = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        let lib = std::fs::read_dir(base.join("tombolo/envoy-venv/lib")).ok()?;
        lib.flatten().map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|path| path.exists())
    };
    let found = std::env::var_os("ENVOY_BIN").map(PathBuf::from).or_else(cache);
    if found.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "Envoy is needed: set ENVOY_BIN");
        println!("skipped, needs Envoy: set ENVOY_BIN to one");
    }
    found
}

impl Envoy {
    /// Starts one that fetches its secrets from a socket, by this API type: `GRPC` or `DELTA_GRPC`.
    pub(crate) async fn start(binary: PathBuf, api: &str, sds: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("envoy.json");
        std::fs::write(&config, bootstrap(dir.path(), api, sds).to_string()).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let process = Command::new(binary)
            .arg("-c")
            .arg(&config)
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut envoy = Self { process, dir, address: ([127, 0, 0, 1], 0).into() };
        envoy.address = envoy.listener().await;
        envoy
    }

    /// The port that the system chose for the listener.
    async fn listener(&self) -> SocketAddr {
        let found = std::cell::Cell::new(None);
        let start = std::time::Instant::now();
        while found.get().is_none() {
            assert!(start.elapsed() < DEADLINE, "Envoy does not listen: {}", self.log());
            let listeners: Value = serde_json::from_str(&self.get("/listeners?format=json").await).unwrap_or_default();
            let port = &listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"];
            found.set(port.as_u64().and_then(|port| u16::try_from(port).ok()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        ([127, 0, 0, 1], found.get().unwrap()).into()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What the admin interface says; nothing where it does not answer.
    pub(crate) async fn get(&self, path: &str) -> String {
        use tokio::io::AsyncWriteExt;
        let Ok(mut stream) = tokio::net::UnixStream::connect(self.dir.path().join("admin")).await else {
            return String::new();
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer.split_once("\r\n\r\n").map(|(_, body)| dechunked(body)).unwrap_or_default()
    }

    /// The certificate that a new connection is shown. `None` where there is no TLS yet.
    pub(crate) async fn certificate(&self) -> Option<CertificateDer<'static>> {
        certificate(self.address).await
    }

    /// Waits until new connections are shown a certificate.
    pub(crate) async fn shows(&self, wanted: &CertificateDer<'static>) {
        let start = std::time::Instant::now();
        while self.certificate().await.as_ref() != Some(wanted) {
            assert!(start.elapsed() < DEADLINE, "Envoy does not show the certificate: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The certificate that a new connection is shown. `None` where there is no TLS yet.
pub(crate) async fn certificate(address: SocketAddr) -> Option<CertificateDer<'static>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let connector = TlsConnector::from(any_server());
    let name = ServerName::try_from("reviews").unwrap();
    let stream = connector.connect(name, stream).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?[0].clone().into_owned())
}

/// HTTP/1.1's chunks (RFC 9112, section 7.1), put together.
pub(crate) fn dechunked(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((length, tail)) = rest.split_once("\r\n") {
        let Ok(length) = usize::from_str_radix(length.trim(), 16) else { return body.to_owned() };
        if length == 0 || tail.len() < length {
            break;
        }
        whole.push_str(&tail[..length]);
        rest = tail[length..].trim_start_matches("\r\n");
    }
    whole
}

fn bootstrap(dir: &Path, api: &str, sds: &Path) -> Value {
    let mut bootstrap = Bootstrap {
        node_id: "sidecar~127.0.0.1~reviews.shop~shop.svc.cluster.local".into(),
        node_cluster: "reviews.shop".into(),
        metadata: serde_json::Map::new(),
        // Nobody is there: what is tested needs no config from elsewhere.
        discovery: Endpoint::Unix(dir.join("xds")),
        sds: Some(sds.to_owned()),
        admin: Endpoint::Unix(dir.join("admin")),
        limits: Limits::default(),
    }
    .to_json();
    bootstrap["dynamic_resources"] = json!({});
    bootstrap["static_resources"]["listeners"] = json!([listener(api)]);
    bootstrap
}

fn listener(api: &str) -> Value {
    let secret = |name: &str| {
        json!({"name": name, "sds_config": {
            "resource_api_version": "V3",
            "api_config_source": {
                "api_type": api,
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": SDS_CLUSTER}}],
            },
        }})
    };
    let tls = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [secret(OWN_CERTIFICATE)],
            "validation_context_sds_secret_config": secret(ROOTS),
        },
    });
    let echo = json!({
        "name": "echo",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"},
    });
    json!({
        "name": "inbound",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"transport_socket": {"name": "tls", "typed_config": tls}, "filters": [echo]}],
    })
}

fn any_server() -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.dangerous().set_certificate_verifier(Arc::new(Any));
    config.into()
}

/// Accepts every certificate: which one it is, is what is asked.
#[derive(Debug)]
struct Any;

impl ServerCertVerifier for Any {
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
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
