//! Over TLS on loopback, as the API server comes.

use super::{
    super::{
        certificate::{Shown, follow, server_config},
        review::tests::{asked, route},
    },
    *,
};
use hyper::client::conn::http2;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::path::Path;
use tokio_rustls::TlsConnector;

const NAME: &str = "tombolo-discovery.mesh.svc";

/// Makes a certificate, puts it where a Secret would be mounted, and says whom to trust.
fn mount(directory: &Path) -> RootCertStore {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()]).unwrap();
    std::fs::write(directory.join("tls.crt"), cert.pem()).unwrap();
    std::fs::write(directory.join("tls.key"), signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    roots
}

/// A server of its own; its certificate comes from the directory.
struct Server {
    address: std::net::SocketAddr,
    metrics: AdmissionMetrics,
    _task: tokio::task::JoinSet<()>,
}

async fn start(directory: &Path) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, metrics) = (listener.local_addr().unwrap(), AdmissionMetrics::default());
    let shown = Arc::new(Shown::new(directory.to_owned(), metrics.clone()));
    let tls = Arc::new(server_config(shown.clone()).unwrap());
    let mut task = tokio::task::JoinSet::new();
    task.spawn(async move { follow(&shown).await });
    task.spawn(serve(listener, tls, None, metrics.clone()));
    Server { address, metrics, _task: task }
}

impl Server {
    /// Sends a request over a connection of its own; an error where the certificate is not trusted or there is none.
    async fn send(&self, roots: &RootCertStore, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(NAME.try_into()?, stream).await?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let (status, body) = (response.status(), response.into_body().collect().await?.to_bytes());
        driver.abort();
        Ok((status, body))
    }

    /// The same, once the certificate is taken.
    async fn ask(&self, roots: &RootCertStore, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
        let mut last = None;
        for _ in 0..600 {
            match self.send(roots, request.clone()).await {
                Ok(answer) => return answer,
                Err(error) => last = Some(error),
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the server never answered: {last:?}")
    }

    fn counted(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }
}

fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let uri = format!("https://{NAME}{PATH}?timeout=2s");
    Request::builder().method(Method::POST).uri(uri).body(Full::new(body.into())).unwrap()
}

fn review() -> Request<Full<Bytes>> {
    post(asked("CREATE", &route(&json!({"sessionPersistence": {}}))).to_string())
}

#[tokio::test]
async fn a_review_is_answered_with_warnings() {
    let directory = tempfile::tempdir().unwrap();
    let roots = mount(directory.path());
    let server = start(directory.path()).await;
    let (status, body) = server.ask(&roots, review()).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["warnings"].as_array().unwrap().len(), 1, "{answer}");
    let counted = server.counted();
    assert!(counted.contains(r#"tombolo_admission_reviews_total{kind="HTTPRoute",warned="true"} 1"#), "{counted}");
}

#[tokio::test]
async fn what_is_no_review_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let roots = mount(directory.path());
    let server = start(directory.path()).await;
    let (status, body) = server.ask(&roots, post("hello")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&body).contains("no AdmissionReview"), "{body:?}");
    let (status, _) = server.ask(&roots, post(vec![b' '; LARGEST + 1])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = server.ask(&roots, post(vec![b' '; LARGEST])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "it is read, and is no review");
    let mut get = review();
    *get.method_mut() = Method::GET;
    assert_eq!(server.ask(&roots, get).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let mut elsewhere = review();
    *elsewhere.uri_mut() = format!("https://{NAME}/").parse().unwrap();
    assert_eq!(server.ask(&roots, elsewhere).await.0, StatusCode::NOT_FOUND);
    let counted = server.counted();
    for reason in ["malformed", "oversized", "method", "path"] {
        assert!(counted.contains(&format!("tombolo_admission_refused_total{{reason=\"{reason}\"}}")), "{counted}");
    }
}

/// A body whose length is not said beforehand.
#[tokio::test]
async fn a_body_without_a_length_is_cut_off_too() {
    let metrics = AdmissionMetrics::default();
    let shared = Shared { audience: None, requests: Semaphore::new(1), reviews: Semaphore::new(1), metrics };
    let (mut sender, body) = http_body_util::channel::Channel::<Bytes, Infallible>::new(1);
    let request = Request::builder().method(Method::POST).uri(PATH).body(body).unwrap();
    let endless = async move { while sender.send_data(Bytes::from_static(&[b' '; 65536])).await.is_ok() {} };
    let (response, ()) = tokio::join!(shared.answer(request), endless);
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_gives_its_place_back() {
    let metrics = AdmissionMetrics::default();
    let shared = Shared { audience: None, requests: Semaphore::new(1), reviews: Semaphore::new(1), metrics };
    let (_sender, body) = http_body_util::channel::Channel::<Bytes, Infallible>::new(1);
    let slow = shared.answer(Request::builder().method(Method::POST).uri(PATH).body(body).unwrap());
    let other = async {
        tokio::task::yield_now().await;
        shared.answer(review().map(|body| body)).await.status()
    };
    let mut other_request = review();
    *other_request.uri_mut() = PATH.parse().unwrap();
    let (slow, other) = tokio::join!(slow, other);
    assert_eq!((slow.status(), other), (StatusCode::REQUEST_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(shared.answer(other_request).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn another_certificate_is_shown_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path()).await;
    let nobody = RootCertStore::empty();
    assert!(server.send(&nobody, review()).await.is_err(), "there is no certificate yet");
    let first = mount(directory.path());
    assert_eq!(server.ask(&first, review()).await.0, StatusCode::OK);
    std::fs::write(directory.path().join("tls.key"), "no key").unwrap();
    assert_eq!(server.ask(&first, review()).await.0, StatusCode::OK, "what is of no use changes nothing");
    let second = mount(directory.path());
    assert_eq!(server.ask(&second, review()).await.0, StatusCode::OK);
    assert!(server.send(&first, review()).await.is_err(), "the one before is not shown any more");
    assert!(!server.counted().contains("tombolo_admission_certificate_expiry 0"), "its end is known");
}
