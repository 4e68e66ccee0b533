//! Each kind of probe against a real server.

use super::{Action, Memory, Probe, Prober, Report, exec, grpc, http, judge::Outcome, tcp};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{HeaderMap, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, timeout},
};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DEADLINE: Duration = Duration::from_secs(30);

async fn try_it(probe: Value) -> Outcome {
    let probe: Probe = serde_json::from_value(probe).unwrap();
    let tried = async {
        match &probe.action {
            Action::HttpGet(get) => http::probe(get, LOCAL).await,
            Action::TcpSocket(socket) => tcp::probe(socket, LOCAL).await,
            Action::Exec(program) => exec::probe(program).await,
            Action::Grpc(check) => grpc::probe(check, LOCAL).await,
        }
    };
    timeout(DEADLINE, tried).await.unwrap()
}

fn failure(outcome: Outcome, expected: &str) {
    let reason = outcome.unwrap_err();
    assert!(reason.contains(expected), "{reason}");
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port that nobody listens on.
async fn closed() -> u16 {
    listen().await.1
}

/// `/200`, `/404`: that status. `/to?URL`: a redirect. `/host` is 200 for the host `web` alone.
async fn page(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    let status = match path.as_str() {
        "/to" => {
            response.headers_mut().insert("location", HeaderValue::from_str(&query).unwrap());
            302
        }
        "/host" if request.headers()["host"] == "web" && request.headers()["x-probe"] == "1" => 200,
        "/" => 204,
        number => number.trim_start_matches('/').parse().unwrap_or(400),
    };
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    Ok(response)
}

async fn web() -> u16 {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(page)));
        }
    });
    port
}

#[tokio::test]
async fn http_from_200_to_399_is_success() {
    let port = web().await;
    for (path, success) in
        [("", true), ("/200", true), ("/204", true), ("/399", true), ("/400", false), ("/503", false)]
    {
        let outcome = try_it(json!({"httpGet": {"port": port, "path": path}})).await;
        assert_eq!(outcome.is_ok(), success, "{path}: {outcome:?}");
    }
    failure(try_it(json!({"httpGet": {"port": port, "path": "/500"}})).await, "HTTP status 500");
    failure(try_it(json!({"httpGet": {"port": closed().await}})).await, "cannot connect");
}

#[tokio::test]
async fn http_headers_and_host_are_the_probes() {
    let port = web().await;
    let headers = json!([{"name": "Host", "value": "web"}, {"name": "X-Probe", "value": "1"}]);
    let get = json!({"port": port, "path": "/host", "host": "127.0.0.1", "httpHeaders": headers});
    try_it(json!({"httpGet": get})).await.unwrap();
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_and_others_count_as_success() {
    let (port, other) = (web().await, web().await);
    let cases = [
        ("/to?/200".to_owned(), true),
        ("/to?/500".to_owned(), false),
        ("/to?503".to_owned(), false), // relative
        (format!("/to?http://127.0.0.1:{port}/404"), false),
        (format!("/to?//127.0.0.1:{port}/404"), false),
        ("/to?http://elsewhere.example/404".to_owned(), true),
        (format!("/to?http://127.0.0.1:{other}/404"), false), // another port
        (format!("/to?http://127.0.0.1:{other}/200"), true),
        ("/to?ftp://127.0.0.1/".to_owned(), true), // nothing that can be asked
        ("/to?/to?/to?/to?/to?/500".to_owned(), false),
    ];
    for (path, success) in cases {
        let outcome = try_it(json!({"httpGet": {"port": port, "path": path}})).await;
        assert_eq!(outcome.is_ok(), success, "{path}: {outcome:?}");
    }
    let around = std::iter::repeat_n("/to?", 12).collect::<String>() + "/200";
    failure(try_it(json!({"httpGet": {"port": port, "path": around}})).await, "redirects");
}

#[tokio::test]
async fn https_does_not_look_at_the_certificate() {
    let key = rcgen::generate_simple_self_signed(["somebody.else".to_owned()]).unwrap();
    let der = rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], der).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(page)).await;
            });
        }
    });
    try_it(json!({"httpGet": {"port": port, "scheme": "HTTPS", "path": "/200"}})).await.unwrap();
    failure(try_it(json!({"httpGet": {"port": port, "scheme": "HTTPS", "path": "/500"}})).await, "500");
    failure(try_it(json!({"httpGet": {"port": web().await, "scheme": "HTTPS"}})).await, "no TLS");
}

#[tokio::test]
async fn tcp_that_connects_is_success() {
    let (_listener, port) = listen().await;
    try_it(json!({"tcpSocket": {"port": port}})).await.unwrap();
    try_it(json!({"tcpSocket": {"port": port, "host": "localhost"}})).await.unwrap();
    failure(try_it(json!({"tcpSocket": {"port": closed().await}})).await, "cannot connect to port");
}

#[tokio::test]
async fn a_program_that_ends_with_0_is_success() {
    let run = |script: &str| try_it(json!({"exec": {"command": ["sh", "-c", script]}}));
    run("exit 0").await.unwrap();
    failure(run("echo one; echo two >&2; exit 3").await, "exit status: 3: two");
    failure(run("echo only; exit 1").await, "only");
    run("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2").await.unwrap(); // more than a pipe holds
    run("sleep 60 & exit 0").await.unwrap(); // whoever it leaves behind holds its output open
    failure(try_it(json!({"exec": {"command": ["/no/such/program"]}})).await, "/no/such/program");
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let script = format!("sleep 60 & echo $$ $! > {0}.new && mv {0}.new {0}; wait", pids.display());
    let probe: Probe = serde_json::from_value(json!({"exec": {"command": ["sh", "-c", script]}})).unwrap();
    let Action::Exec(program) = probe.action else { panic!() };
    let tried = tokio::spawn(async move { exec::probe(&program).await });
    let written = eventually(|| std::fs::read_to_string(&pids).ok()).await;
    tried.abort(); // as a timeout does
    _ = tried.await;
    for pid in written.split_whitespace() {
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            (stat.is_empty() || stat.contains(") Z ")).then_some(())
        };
        eventually(gone).await;
    }
}

async fn eventually<T>(look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// `up` serves, `down` does not, others are not known.
async fn check(
    request: Request<Incoming>,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>, Infallible> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let service = body.get(7..).unwrap_or_default().to_vec();
    let (message, status) = match &*service {
        b"" | b"up" => (&[0, 0, 0, 0, 2, 8, 1][..], "0"),
        b"down" => (&[0, 0, 0, 0, 2, 8, 2][..], "0"),
        b"odd" => (&b"what"[..], "0"),
        _ => (&[][..], "5"),
    };
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
    let body = Full::new(Bytes::copy_from_slice(message)).with_trailers(async move { Some(Ok(trailers)) });
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(body.boxed()).unwrap())
}

#[tokio::test]
async fn grpc_that_serves_is_success() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(check)));
        }
    });
    let ask = |service: &str| try_it(json!({"grpc": {"port": port, "service": service}}));
    ask("").await.unwrap();
    ask("up").await.unwrap();
    failure(ask("down").await, "NOT_SERVING");
    failure(ask("other").await, "gRPC status 5");
    failure(ask("odd").await, "not gRPC");
    failure(try_it(json!({"grpc": {"port": web().await}})).await, "no answer");
}

#[test]
fn a_torn_file_never_brings_a_number_back() {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory::new(directory.path());
    memory.keep(&Report { healthy: Ok(()), sequence: 1_000_000 }).unwrap();
    let file = directory.path().join("health.json");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let probe: Probe = serde_json::from_value(json!({"tcpSocket": {"port": 1}})).unwrap();
    let (_, reports) = Prober::new(probe, LOCAL, memory);
    let report = reports.borrow().clone();
    assert!(report.healthy.is_err() && report.sequence > 1_000_000, "{report:?}");
}

#[tokio::test]
async fn only_turns_are_reported_and_their_numbers_go_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let up = Arc::new(AtomicBool::new(false));
    let (listener, port) = listen().await;
    let answers = up.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answers = answers.clone();
            let service = service_fn(move |_| {
                let status = if answers.load(Ordering::SeqCst) { 200 } else { 503 };
                async move { Response::builder().status(status).body(Full::<Bytes>::default()) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let probe = json!({"periodSeconds": 1, "failureThreshold": 1, "httpGet": {"port": port}});
    let probe: Probe = serde_json::from_value(probe).unwrap();
    let start = || {
        let (prober, reports) = Prober::new(probe.clone(), LOCAL, Memory::new(directory.path()));
        let (hold, held_back) = watch::channel(vec![]);
        (tokio::spawn(prober.run(held_back)), reports, hold)
    };
    let (first, mut reports, hold) = start();
    let mut last = 0;
    for healthy in [false, true] {
        up.store(healthy, Ordering::SeqCst);
        let turned = reports.wait_for(|report| report.sequence > last && report.healthy.is_ok() == healthy);
        last = timeout(DEADLINE, turned).await.unwrap().unwrap().sequence;
    }
    assert_eq!(last, 2);
    hold.send_replace(vec!["Envoy is draining".to_owned()]);
    let held = reports.wait_for(|report| report.healthy.is_err());
    assert_eq!(timeout(DEADLINE, held).await.unwrap().unwrap().sequence, 3);
    first.abort();
    _ = first.await;

    let (second, mut reports, _hold) = start();
    assert_eq!(reports.borrow().sequence, 3, "until the first verdict it is what it was");
    let turned = reports.wait_for(|report| report.healthy.is_ok());
    assert_eq!(timeout(DEADLINE, turned).await.unwrap().unwrap().sequence, 4);
    drop(reports);
    timeout(DEADLINE, second).await.unwrap().unwrap();
}
