//! Addresses that hosts are given: the same after a restart, in status and resources, and never before they are remembered.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use std::{fs, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tombolo_controlplane::{ControlPlane, FileStore, Setup, SystemClock, World, directory::Directory};
use tombolo_proto::ResourceType;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn entry(name: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec: {{hosts: [{name}.example.com], resolution: DNS, ports: [{{number: 80, name: http, protocol: HTTP}}]}}
"
    )
}

/// A control plane over a directory that remembers beside it.
async fn start(directory: &Path) -> ControlPlane {
    let setup = Setup {
        sources: vec![Box::new(Directory::new(directory.join("manifests")))],
        facts: Vec::new(),
        store: Some(Arc::new(FileStore::open(directory.join("state")).unwrap())),
        xds: tombolo_xds::Config::default(),
        clock: Arc::new(SystemClock),
    };
    let plane = ControlPlane::start(setup).unwrap();
    tokio::time::timeout(PATIENCE, plane.ready()).await.unwrap();
    plane
}

/// The addresses in the status of an entry; empty where there are none.
fn addresses(world: &World, name: &str) -> Vec<String> {
    let status = world.statuses().find(|(key, _)| &*key.name.name == name).map(|(_, status)| status.to_json());
    let listed = status.iter().flat_map(|status| status["addresses"].as_array().into_iter().flatten());
    listed.map(|address| address["value"].as_str().unwrap().to_owned()).collect()
}

async fn until(plane: &ControlPlane, what: &str, holds: impl Fn(&World) -> bool + Send + Copy + 'static) {
    let mut events = plane.subscribe();
    let wait = async {
        while !plane.ask(holds).await.unwrap() {
            _ = events.recv().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("it never holds: {what}"));
}

fn directories() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("manifests")).unwrap();
    directory
}

#[tokio::test]
async fn a_host_keeps_what_the_state_directory_says() {
    let directory = directories();
    let file = directory.path().join("manifests/a.yaml");
    fs::write(&file, entry("a")).unwrap();
    fs::create_dir(directory.path().join("state")).unwrap();
    let state = directory.path().join("state/addresses.json");
    // Not what its hash says: it evaded somebody once.
    fs::write(
        &state,
        r#"{"given": {"a.example.com": "240.240.7.7", "gone.example.com": "240.240.8.8"}, "released": []}"#,
    )
    .unwrap();
    let plane = start(directory.path()).await;
    let (listed, served) = plane
        .ask(|world| {
            let names = world.engine().resources().filter(|(_, r)| r.kind() == ResourceType::Name);
            (addresses(world, "a"), names.map(|(_, r)| r.name().to_string()).collect::<Vec<_>>())
        })
        .await
        .unwrap();
    assert_eq!(listed, ["240.240.7.7", "2001:2::f0f0:707"]);
    assert_eq!(served, ["a.example.com"]);
    let remembered: serde_json::Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    assert_eq!(remembered["released"], serde_json::json!(["gone.example.com"]), "all is read, and it is not there");
    plane.stop();
}

#[tokio::test]
async fn what_cannot_be_remembered_is_not_used_until_it_can() {
    let directory = directories();
    let manifests = directory.path().join("manifests");
    let plane = start(directory.path()).await;
    let obstacle = directory.path().join("state/.addresses.json.new");
    fs::create_dir(&obstacle).unwrap();
    fs::write(manifests.join("a.yaml"), entry("a")).unwrap();
    until(&plane, "a problem", |world| world.problems().iter().any(|problem| problem.reason == "NoAddress")).await;
    assert!(plane.ask(|world| addresses(world, "a").is_empty()).await.unwrap());
    fs::remove_dir(&obstacle).unwrap();
    // The next change of anything tries again.
    fs::write(manifests.join("b.yaml"), entry("b")).unwrap();
    until(&plane, "addresses", |world| addresses(world, "a").len() == 2 && addresses(world, "b").len() == 2).await;
    assert!(plane.ask(|world| world.problems().is_empty()).await.unwrap());
    plane.stop();
}
