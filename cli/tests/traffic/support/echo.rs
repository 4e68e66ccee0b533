//! Backends that tell what reached them.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{HeaderName, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};

/// What a backend speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Speaks {
    /// HTTP/1.1, and whatever a client upgrades to: sent back byte by byte.
    Http1,
    /// HTTP/2 from the first byte.
    H2c,
}

/// A backend. What a request asks of it stands in its query:
/// `status=N`, `delay=MILLISECONDS`, `header=NAME:VALUE`, and `fail=N`: the first N requests of that path get `status` (with
/// `status=0` their connection is closed), later ones 200.
#[derive(Debug)]
pub(crate) struct Echo {
    name: &'static str,
    port: u16,
    seen: Mutex<Vec<Value>>,
    failed: Mutex<HashMap<String, u32>>,
}

impl Echo {
    /// Serves on a free port of 127.0.0.1 as long as the runtime lives.
    pub(crate) async fn start(name: &'static str, speaks: Speaks) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let echo = Arc::new(Self { name, port, seen: Mutex::default(), failed: Mutex::default() });
        tokio::spawn(accept(echo.clone(), listener, speaks));
        Ok(echo)
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The requests for a path, in the order they came. All cases share the backends: a path that is counted is one case's own.
    pub(crate) fn seen(&self, path: &str) -> Vec<Value> {
        self.seen.lock().unwrap().iter().filter(|request| request["path"] == path).cloned().collect()
    }

    /// How often a path was to fail and did; one more is counted.
    fn count_failure(&self, path: &str) -> u32 {
        let mut failed = self.failed.lock().unwrap();
        let count = failed.entry(path.to_owned()).or_default();
        *count += 1;
        *count
    }
}

async fn accept(echo: Arc<Echo>, listener: TcpListener, speaks: Speaks) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(echo.clone(), stream, speaks));
    }
}

async fn serve(echo: Arc<Echo>, stream: TcpStream, speaks: Speaks) {
    let service = service_fn(move |request| answer(echo.clone(), request));
    let io = TokioIo::new(stream);
    // Clients come and go, and some requests are to end in a closed connection.
    match speaks {
        Speaks::Http1 => _ = http1::Builder::new().serve_connection(io, service).with_upgrades().await,
        Speaks::H2c => _ = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await,
    }
}

async fn answer(echo: Arc<Echo>, mut request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let mut said = describe(&echo, &request);
    if request.headers().contains_key("upgrade") {
        return Ok(upgrade(&mut request));
    }
    let path = request.uri().path().to_owned();
    said["body"] = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes().len().into();
    echo.seen.lock().unwrap().push(said.clone());
    let query = |name: &str| said["query"][name][0].as_str();
    let number = |name: &str| query(name).and_then(|text| text.parse::<u64>().ok());
    if let Some(delay) = number("delay") {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let mut status = number("status").unwrap_or(200);
    if let Some(fail) = number("fail")
        && u64::from(echo.count_failure(&path)) > fail
    {
        status = 200;
    }
    if status == 0 {
        return Err(io::Error::other("this connection is to be closed"));
    }
    let mut response = Response::new(Full::from(said.to_string()));
    *response.status_mut() = u16::try_from(status).ok().and_then(|code| code.try_into().ok()).unwrap_or_default();
    for header in said["query"]["header"].as_array().into_iter().flatten() {
        let (name, value) = header.as_str().and_then(|h| h.split_once(':')).ok_or(io::ErrorKind::InvalidInput)?;
        let name: HeaderName = name.parse().map_err(io::Error::other)?;
        response.headers_mut().append(name, HeaderValue::from_str(value).map_err(io::Error::other)?);
    }
    Ok(response)
}

/// What a request was, as JSON.
fn describe(echo: &Echo, request: &Request<Incoming>) -> Value {
    let mut headers = BTreeMap::<&str, Vec<String>>::new();
    for (name, value) in request.headers() {
        headers.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let mut query = BTreeMap::<&str, Vec<&str>>::new();
    for (name, value) in request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
        query.entry(name).or_default().push(value);
    }
    let host = request.uri().authority().map(ToString::to_string);
    let host = host.or_else(|| headers.get("host").and_then(|values| values.first().cloned()));
    json!({
        "backend": echo.name,
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "query": query,
        "host": host,
        "headers": headers,
        "version": format!("{:?}", request.version()),
    })
}

fn upgrade(request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    let upgraded = hyper::upgrade::on(&mut *request);
    tokio::spawn(async move {
        let Ok(io) = upgraded.await else { return };
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(io));
        _ = tokio::io::copy(&mut reader, &mut writer).await; // until the client has enough
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
    if let Some(protocol) = request.headers().get("upgrade") {
        response.headers_mut().insert("upgrade", protocol.clone());
    }
    response
}
