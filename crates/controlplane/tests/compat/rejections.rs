//! Two replicas of one control plane, and what a Gateway's status says of what its proxies reject, whichever replica serves them.

use super::{
    client::{Connection, within},
    stream::{Delta, gateway},
    wire::LISTENER,
};
use prometheus_client::registry::Registry;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::Instant,
};
use tombolo_api::Kind;
use tombolo_controlplane::{
    ControlPlane, Elsewhere, Setup, SystemClock,
    admin::{self, Admin},
    directory::Directory,
};
use tombolo_xds::Standing;

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: tombolo
  listeners: [{name: http, port: 80, protocol: HTTP}]
";
const WORDS: &str = "cannot bind to 0.0.0.0:80";

struct Replica {
    plane: ControlPlane,
    config: SocketAddr,
    pages: SocketAddr,
    serves_pages: JoinHandle<()>,
    _directory: TempDir,
}

impl Replica {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("gateway.yaml"), GATEWAY).unwrap();
        let setup = Setup {
            sources: vec![Box::new(Directory::new(directory.path()))],
            facts: Vec::new(),
            store: None,
            xds: tombolo_xds::Config::default(),
            clock: Arc::new(SystemClock),
        };
        let plane = ControlPlane::start(setup).unwrap();
        within(plane.ready()).await;
        let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (config, pages) = (bind().await, bind().await);
        let (config_address, pages_address) = (config.local_addr().unwrap(), pages.local_addr().unwrap());
        tokio::spawn(tombolo_xds::serve(config, plane.hub().clone(), std::future::pending()));
        let admin = Admin {
            plane: plane.clone(),
            identity: None,
            unready: watch::Sender::new(None).subscribe(),
            registry: Arc::new(Registry::default().into()),
        };
        let serves_pages = tokio::spawn(admin::serve(pages, admin));
        Self { plane, config: config_address, pages: pages_address, serves_pages, _directory: directory }
    }

    /// A proxy of the Gateway, which asks for what to listen for.
    async fn proxy(&self, name: &str) -> Delta {
        let mut node = gateway("edge", "shop");
        node.id = node.id.replace("edge-5f6", name);
        Delta::open(&Connection::plain(self.config).await, node, LISTENER, &[]).await
    }

    /// Whether the Gateway's status tells that it is rejected.
    async fn tells(&self) -> bool {
        let status = self.plane.ask(|world| {
            let (_, status) = world.statuses().find(|(key, _)| key.kind == Kind::Gateway).unwrap();
            status.to_json().to_string()
        });
        status.await.unwrap().contains(WORDS)
    }

    /// Waits until it tells that, or does not.
    async fn until(&self, tells: bool) {
        self.until_after(tells, &mut Elsewhere::default(), &BTreeMap::new()).await;
    }

    /// The same of a replica that asks others again and again.
    async fn until_after(&self, tells: bool, elsewhere: &mut Elsewhere, others: &BTreeMap<Arc<str>, SocketAddr>) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            elsewhere.ask(&self.plane, others).await.unwrap();
            if self.tells().await == tells {
                return;
            }
            let here = self.plane.rejected(&BTreeSet::new()).await.unwrap();
            assert!(Instant::now() < deadline, "it does not come to {tells}: {here:?}, elsewhere {elsewhere:?}");
            tokio::time::sleep(Duration::from_millis(20)).await; // until the next look
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.plane.stop();
    }
}

async fn until(so: impl Fn() -> bool) {
    let looks = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    within(looks).await;
}

#[tokio::test]
async fn what_the_proxies_of_another_replica_reject_is_told_unless_it_serves_here() {
    let (writer, other) = (Replica::start().await, Replica::start().await);
    let (mut elsewhere, others) = (Elsewhere::default(), BTreeMap::from([("other".into(), other.pages)]));
    elsewhere.ask(&writer.plane, &others).await.unwrap();
    assert!(!writer.tells().await);
    let mut rejecting = other.proxy("edge-1").await;
    rejecting.reject(WORDS).await;
    writer.until_after(true, &mut elsewhere, &others).await;

    let mut taking = writer.proxy("edge-2").await;
    taking.next().await.unwrap();
    writer.until_after(false, &mut elsewhere, &others).await;
    assert!(other.tells().await, "it knows of its own proxies alone");
    drop(taking);
    writer.until_after(true, &mut elsewhere, &others).await;

    other.serves_pages.abort();
    elsewhere.ask(&writer.plane, &others).await.unwrap();
    assert!(writer.tells().await, "who does not answer is not forgotten");
}

#[tokio::test]
async fn what_serves_at_one_of_the_others_is_not_told() {
    let (writer, one, two) = (Replica::start().await, Replica::start().await, Replica::start().await);
    let mut taking = one.proxy("edge-1").await;
    taking.next().await.unwrap();
    let mut rejecting = two.proxy("edge-2").await;
    rejecting.reject(WORDS).await;
    two.until(true).await;
    let known = two.plane.rejected(&BTreeSet::new()).await.unwrap();
    let [part] = known.parts().cloned().collect::<Vec<_>>().try_into().unwrap();
    let standing = |viewer| one.plane.hub().standing(viewer, part.kind, &part.name);
    until(|| {
        one.plane.hub().viewers(&part.scope).into_iter().any(|viewer| matches!(standing(viewer), Standing::Held(_)))
    })
    .await;
    let (mut elsewhere, others) =
        (Elsewhere::default(), BTreeMap::from([("one".into(), one.pages), ("two".into(), two.pages)]));
    elsewhere.ask(&writer.plane, &others).await.unwrap();
    assert!(!writer.tells().await, "one was asked again of what two had to say");
    drop(taking);
    writer.until_after(true, &mut elsewhere, &others).await;
}

/// The first line of the answer to what is posted there.
async fn post(pages: SocketAddr, body: &str) -> String {
    let mut stream = TcpStream::connect(pages).await.unwrap();
    let length = body.len();
    let head =
        format!("POST /debug/rejections HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    _ = stream.write_all(format!("{head}{body}").as_bytes()).await; // where it is too long, not all of it is read
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn nobody_may_ask_of_too_much_at_a_time() {
    let replica = Replica::start().await;
    let part = |number| format!(r#"{{"scope":"gateway/shop/edge","type":"lds","name":"{number}"}}"#);
    let parts = |count| format!("[{}]", (0..count).map(part).collect::<Vec<_>>().join(","));
    assert_eq!(post(replica.pages, &parts(10_000)).await, "HTTP/1.1 200");
    assert_eq!(post(replica.pages, &parts(10_001)).await, "HTTP/1.1 400");
    assert_eq!(post(replica.pages, &format!("[{}]", " ".repeat(1 << 20))).await, "HTTP/1.1 400");
}

#[tokio::test]
async fn a_proxy_that_reconnects_is_told_all_the_while() {
    let replica = Replica::start().await;
    let mut proxy = replica.proxy("edge-1").await;
    proxy.reject(WORDS).await;
    replica.until(true).await;
    let mut events = replica.plane.subscribe();
    drop(proxy);
    until(|| replica.plane.hub().proxies().is_empty()).await;
    replica.plane.rejected_elsewhere(Vec::new()).await.unwrap(); // it has looked
    assert!(replica.tells().await);
    let mut proxy = replica.proxy("edge-1").await;
    proxy.reject(WORDS).await;
    until(|| !replica.plane.hub().rejections().is_empty()).await;
    replica.plane.rejected_elsewhere(Vec::new()).await.unwrap();
    while let Ok(applied) = events.try_recv() {
        assert!(applied.statuses.is_empty() && applied.resolved.is_empty(), "{applied:?}");
    }
    drop(proxy);
    let mut proxy = replica.proxy("edge-1").await;
    proxy.next().await.unwrap();
    replica.until(false).await;
}
