//! How many proxies are connected to a replica: asked of it, as nobody writes it down.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize as _, de::IgnoredAny};
use std::{net::IpAddr, time::Duration};

use crate::names::port;

/// The longest answer that is read: a hundred bytes or so for a proxy.
const LONGEST_ANSWER: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// False for pods that have ended: nobody is connected to them.
pub(crate) fn may_serve(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed" | "Pending"))
}

/// How many proxies are connected to a pod; `None` where it does not say.
pub(crate) async fn connected_to(pod: &Pod) -> Option<usize> {
    let address: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let authority = std::net::SocketAddr::new(address, port::MONITORING);
    tokio::time::timeout(PATIENCE, ask(&format!("http://{authority}/debug/proxies"))).await.ok()?
}

async fn ask(url: &str) -> Option<usize> {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url).body(Empty::new()).ok()?;
    let response = client.request(request).await.ok().filter(|response| response.status() == StatusCode::OK)?;
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await.ok()?.to_bytes();
    let proxies: Vec<IgnoredAny> = Vec::deserialize(&mut serde_json::Deserializer::from_slice(&body)).ok()?;
    Some(proxies.len())
}
