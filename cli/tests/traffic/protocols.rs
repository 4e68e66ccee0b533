//! What is spoken with clients and backends.

use crate::support::{eventually, route, traffic};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_backend_that_says_so_is_spoken_to_in_http2() {
    traffic(async |world| {
        let rules = r"
  - matches: [{path: {value: /h2c}}]
    backendRefs: [{name: h2c, port: 8080}]
  - backendRefs: [{name: v1, port: 8080}]";
        world.apply("h2c", &route("h2c", rules)).await;
        for (path, backend, version) in [("/h2c", "h2c", "HTTP/2.0"), ("/", "v1", "HTTP/1.1")] {
            for ask in [world.get("http", "h2c.test", path), world.get("http", "h2c.test", path).http2()] {
                assert_eq!(ask.reaches(backend).await.echo["version"], version);
            }
        }
    });
}

#[test]
fn websockets_pass_both_ways() {
    traffic(async |world| {
        let rules = r"
  - matches: [{path: {value: /ws}}]
    backendRefs: [{name: ws, port: 8080}]
  - matches: [{path: {value: /plain}}]
    timeouts: {request: 300ms}
    backendRefs: [{name: v1, port: 8080}]";
        world.apply("websocket", &route("websocket", rules)).await;
        for path in ["/ws", "/plain"] {
            let ask = world.get("http", "websocket.test", path);
            ask.until("200", |answer| answer.status == 200).await;
            let ask = ask.header("connection", "upgrade").header("upgrade", "websocket");
            let ask = ask.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            let response = ask.response().await.unwrap();
            assert_eq!(response.status(), 101, "{path}");
            let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
            for message in [b"one way", b"another"] {
                socket.write_all(message).await.unwrap();
                let mut back = [0; 7];
                socket.read_exact(&mut back).await.unwrap();
                assert_eq!(&back, message);
            }
        }
    });
}

/// More than is kept of a request for another try, or for a mirror.
#[test]
fn a_large_body_arrives_whole() {
    traffic(async |world| {
        let rules = r"
  - matches: [{path: {value: /large-retried}}]
    retry: {codes: [500], attempts: 2}
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /large-copy}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 8080}}}]
    backendRefs: [{name: v1, port: 8080}]
  - backendRefs: [{name: v1, port: 8080}]";
        world.apply("bodies", &route("bodies", rules)).await;
        const SIZE: usize = 1 << 20;
        for path in ["/plain", "/large-retried", "/large-copy"] {
            let answer = world.get("http", "bodies.test", path).method("POST").body(SIZE).reaches("v1").await;
            assert_eq!(answer.echo["body"], SIZE, "{path}");
        }
        let copy = eventually(async || world.backend("v2").seen("/large-copy").pop().ok_or(())).await;
        let copy = copy.expect("a large request is copied too");
        assert_eq!(copy["body"], SIZE, "{copy:#}");
    });
}
