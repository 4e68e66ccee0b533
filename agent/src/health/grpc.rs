//! `grpc.health.v1.Health/Check`: `SERVING` is success.

use super::{Grpc, judge::Outcome, tcp};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Method, Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::net::{IpAddr, SocketAddr};
use tokio_util::task::AbortOnDropHandle;

/// An answer has a few bytes.
const LONGEST: usize = 4096;
/// Of a message on the wire: whether it is compressed, and its length.
const PREFIX: usize = 5;
const SERVING: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

pub(crate) async fn probe(check: &Grpc, local: IpAddr) -> Outcome {
    let broken = |error: hyper::Error| format!("no answer: {error}");
    let stream = tcp::connect(&local.to_string(), check.port).await?;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(broken)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let uri = format!("http://{}/grpc.health.v1.Health/Check", SocketAddr::new(local, check.port));
    let request = Request::builder().method(Method::POST).uri(uri);
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let message = frame(&HealthCheckRequest { service: check.service.clone() });
    let request = request.body(Full::new(message)).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let headers = response.headers().clone();
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| format!("no answer: {error}"))?;
    refused(&headers)?;
    if let Some(trailers) = body.trailers() {
        refused(trailers)?;
    }
    serving(&body.to_bytes())
}

fn frame(message: &HealthCheckRequest) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.encoded_len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    frame.extend(message.encode_to_vec());
    frame.freeze()
}

/// A call that failed: its status is in the trailers, or in the headers where there is nothing else.
fn refused(headers: &HeaderMap) -> Outcome {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status") {
        Some(status) if status != "0" => {
            Err(format!("gRPC status {status} {}", text("grpc-message").unwrap_or_default()).trim_end().to_owned())
        }
        _ => Ok(()),
    }
}

fn serving(body: &[u8]) -> Outcome {
    let message = body.get(PREFIX..).filter(|_| body[0] == 0).ok_or("an answer that is not gRPC")?;
    let answer =
        HealthCheckResponse::decode(message).map_err(|error| format!("an answer that is not gRPC: {error}"))?;
    match answer.status {
        SERVING => Ok(()),
        2 => Err("NOT_SERVING".to_owned()),
        3 => Err("SERVICE_UNKNOWN".to_owned()),
        other => Err(format!("serving status {other}")),
    }
}
