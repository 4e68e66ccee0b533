//! Which proxies are connected to a control plane: asked of its replicas, as nobody writes it down.

mod counting;

pub(crate) use counting::{Count, Counts, keep};

use crate::{
    context::Context,
    failure::{A_CALL, Failure, within},
    names,
    names::port,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, api::ListParams};
use serde::Deserialize;
use std::{net::IpAddr, time::Duration};

/// The longest answer that is read: some hundred bytes for a proxy.
const LONGEST_ANSWER: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// A proxy that is connected, as `/debug/proxies` tells of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Connected {
    /// Its node id; empty while it is not known yet.
    proxy: String,
    /// What it sees.
    scopes: Vec<String>,
}

/// The pods of control planes in a namespace, of one revision or of all.
pub(crate) async fn replicas(context: &Context, namespace: &str, revision: Option<&str>) -> Result<Vec<Pod>, Failure> {
    let of_revision = revision.map(|revision| format!(",{}={revision}", names::REVISION)).unwrap_or_default();
    let labels = format!("app.kubernetes.io/name={}{of_revision}", names::DISCOVERY);
    let pods = Api::<Pod>::namespaced(context.client.clone(), namespace);
    let list = async {
        let list = pods.list(&ListParams::default().labels(&labels)).await;
        list.map_err(|error| Failure::of_call("list Pods", &error))
    };
    Ok(within(A_CALL, "list Pods", list).await?.items)
}

/// False for pods that have ended or not begun, and while no container runs, such as one that waits to be started again: nobody is
/// connected to them.
pub(crate) fn may_serve(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return true };
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let runs = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_some());
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed" | "Pending"));
    !ended && (containers.is_empty() || containers.iter().any(runs))
}

/// Which proxies are connected to a pod; `None` where it does not say.
pub(crate) async fn connected_to(pod: Pod) -> Option<Vec<Connected>> {
    let address: IpAddr = pod.status?.pod_ip?.parse().ok()?;
    let authority = std::net::SocketAddr::new(address, port::MONITORING);
    tokio::time::timeout(PATIENCE, ask(&format!("http://{authority}/debug/proxies"))).await.ok()?
}

async fn ask(url: &str) -> Option<Vec<Connected>> {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url).body(Empty::new()).ok()?;
    let response = client.request(request).await.ok().filter(|response| response.status() == StatusCode::OK)?;
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await.ok()?.to_bytes();
    serde_json::from_slice(&body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    /// What comes of an answer of a replica's.
    async fn heard(status: &str, body: &str) -> Option<Vec<Connected>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/debug/proxies", listener.local_addr().unwrap());
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let replica = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        tokio::join!(ask(&url), replica).0
    }

    #[test]
    fn nobody_is_connected_where_nothing_runs() {
        let serves = |status: serde_json::Value| {
            may_serve(&serde_json::from_value(serde_json::json!({"metadata": {}, "status": status})).unwrap())
        };
        let running = |state: &str| {
            let container = serde_json::json!({"name": "discovery", "image": "", "imageID": "", "ready": false, "restartCount": 4, "state": {state: {"exitCode": 1}}});
            serves(serde_json::json!({"phase": "Running", "containerStatuses": [container]}))
        };
        assert_eq!(["running", "waiting", "terminated"].map(running), [true, false, false]);
        let phase = |phase: &str| serves(serde_json::json!({"phase": phase}));
        assert_eq!(
            ["Running", "Unknown", "Pending", "Failed", "Succeeded"].map(phase),
            [true, true, false, false, false]
        );
    }

    #[tokio::test]
    async fn a_replica_says_who_is_connected_or_nothing() {
        let id = "router~10.0.0.1~edge.shop~shop.svc.cluster.local";
        let page =
            format!(r#"[{{"connection": 1, "proxy": "{id}", "scopes": ["gateway/shop/edge"], "types": []}}, {{}}]"#);
        let heard_of: Vec<_> = heard("200 OK", &page).await.unwrap().into_iter().map(|of| of.proxy).collect();
        assert_eq!(heard_of, [id, ""]);
        assert!(heard("404 Not Found", "[]").await.is_none());
        assert!(heard("200 OK", "{}").await.is_none());
    }
}
