//! The writer of what a control plane finds itself.

use super::{
    api::Api,
    writer::{Told, edits},
};
use crate::status::{RevisionWriter, StatusMetrics};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};
use tombolo_api::{
    Kind, ObjectKey,
    mesh::{CERTIFICATE_AUTHORITY_READY, TRUST_DOMAIN_IN_EFFECT},
};
use tombolo_controlplane::{ControlPlane, Finding, Setup, SystemClock, Update};
use tombolo_core::{NamespacedName, SourceId};
use tombolo_translate::status::Condition;

const REVISION: &str = "/apis/mesh.tombolo.dev/v1alpha1/meshrevisions/canary";
const INSTALLATION: &str = "
apiVersion: mesh.tombolo.dev/v1alpha1
kind: MeshInstallation
metadata: {name: default}
";

/// A control plane that finds what it is told to, and an API server.
struct World {
    api: Api,
    plane: ControlPlane,
    lease: watch::Sender<bool>,
    /// Whether another revision's replica writes.
    led_by_another: watch::Sender<bool>,
    metrics: StatusMetrics,
    writer: JoinHandle<()>,
    _says: mpsc::Sender<Update>,
}

impl World {
    /// There is a revision, nothing is found of it, and this replica writes.
    async fn new() -> Self {
        let (says, told) = mpsc::channel(9);
        let setup = Setup {
            sources: vec![Box::new(Told(SourceId::new("settings"), told))],
            facts: Vec::new(),
            store: None,
            xds: tombolo_xds::Config::default(),
            clock: Arc::new(SystemClock),
        };
        let (plane, api) = (ControlPlane::start(setup).unwrap(), Api::default());
        says.send(Update { edits: edits(INSTALLATION), synced: true, ..Update::default() }).await.unwrap();
        plane.ready().await;
        api.state().put(REVISION, &json!({"observedGeneration": 1, "conditions": [ready()]}));
        let (led_by_another, metrics) = (watch::Sender::new(false), StatusMetrics::default());
        let (lease, writer) = write(&api, &plane, &led_by_another, &metrics);
        Self { api, plane, lease, led_by_another, metrics, writer, _says: says }
    }

    /// Another one writes from now on, once it has looked.
    async fn hand_over(&mut self) {
        self.lease = watch::Sender::new(false);
        (&mut self.writer).await.unwrap();
        let reads = self.api.state().reads;
        (self.lease, self.writer) = write(&self.api, &self.plane, &self.led_by_another, &self.metrics);
        self.api.until("read again", |state| state.reads > reads).await;
    }

    async fn find(&self, signer: Condition) {
        let name = NamespacedName::new("", "default");
        let key = ObjectKey { source: SourceId::new("settings"), kind: Kind::MeshInstallation, name };
        let conditions = [signer, Condition::yes(TRUST_DOMAIN_IN_EFFECT, "InEffect", "", 0)];
        let findings = conditions.map(|condition| Finding { condition, problem: None });
        self.plane.observe("identity", key, findings.into()).await.unwrap();
    }

    /// Lets time pass until that many writes were asked for.
    async fn pass_until_asked(&self, writes: usize) {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        tokio::time::pause();
        while self.api.state().asked < writes {
            assert!(std::time::Instant::now() < deadline, "not written: {:#?}", self.api.state().objects);
            sleep(Duration::from_secs(600)).await; // passes at once, and the control plane's own threads need real time to answer
        }
        tokio::time::resume();
    }

    /// The lines of what is counted by that name.
    fn counted(&self, name: &str) -> Vec<String> {
        let (mut registry, mut text) = (Registry::default(), String::new());
        self.metrics.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    fn shown(&self, kind: &str) -> Value {
        let state = self.api.state();
        let conditions = state.objects[REVISION]["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
    }
}

fn write(
    api: &Api,
    plane: &ControlPlane,
    led_by_another: &watch::Sender<bool>,
    metrics: &StatusMetrics,
) -> (watch::Sender<bool>, JoinHandle<()>) {
    let (lease, held) = watch::channel(true);
    let (plane, client, metrics) = (plane.clone(), api.client(), metrics.clone());
    let (revision, led_by_another) = ("canary".to_owned(), led_by_another.subscribe());
    let writer = RevisionWriter { plane, client, revision, led_by_another, metrics };
    (lease, tokio::spawn(writer.run(held)))
}

fn ready() -> Value {
    json!({"type": "Ready", "status": "True", "reason": "Serving", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn signs() -> Condition {
    Condition::yes(CERTIFICATE_AUTHORITY_READY, "SelfSigned", "a root signs", 0)
}

fn refused(message: &str) -> Condition {
    Condition::no(CERTIFICATE_AUTHORITY_READY, "InvalidSecret", message, 0)
}

#[tokio::test]
async fn what_is_found_is_written_once_beside_what_others_say() {
    let mut world = World::new().await;
    world.find(signs()).await;
    world.api.until("written", |state| state.asked == 1).await;
    assert_eq!(world.shown("Ready"), ready());
    assert_eq!(world.shown(TRUST_DOMAIN_IN_EFFECT)["reason"], "InEffect");
    let signer = world.shown(CERTIFICATE_AUTHORITY_READY);
    assert_eq!((&signer["status"], &signer["reason"]), (&json!("True"), &json!("SelfSigned")));
    assert!(signer["lastTransitionTime"].is_string() && signer.get("observedGeneration").is_none(), "{signer}");
    assert_eq!(world.shown("Accepted"), Value::Null, "that is no finding");
    world.hand_over().await;
    world.find(refused("no key")).await;
    world.api.until("written again", |state| state.objects[REVISION].to_string().contains("no key")).await;
    assert_eq!(world.api.state().asked, 2, "whoever is next writes what is new alone");
    assert_eq!(world.shown("Ready"), ready());
}

#[tokio::test]
async fn a_condition_that_holds_as_before_keeps_its_time_whoever_writes_it() {
    let world = World::new().await;
    let before = json!({"type": CERTIFICATE_AUTHORITY_READY, "status": "False", "reason": "InvalidSecret", "message": "no key",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    world.api.state().put(REVISION, &json!({"conditions": [before]}));
    world.find(refused("no chain")).await;
    world.api.until("written", |state| state.asked == 1).await;
    let signer = world.shown(CERTIFICATE_AUTHORITY_READY);
    assert_eq!(
        (&signer["message"], &signer["lastTransitionTime"]),
        (&json!("no chain"), &before["lastTransitionTime"])
    );
}

#[tokio::test]
async fn what_somebody_changed_is_put_right_in_time() {
    let world = World::new().await;
    world.find(signs()).await;
    world.api.until("written", |state| state.asked == 1).await;
    let before = world.shown(CERTIFICATE_AUTHORITY_READY);
    world.api.state().put(REVISION, &json!({"conditions": [ready()]}));
    world.pass_until_asked(2).await;
    assert_eq!(world.shown(CERTIFICATE_AUTHORITY_READY)["reason"], before["reason"]);
}

#[tokio::test]
async fn an_api_server_that_fails_is_asked_again() {
    let world = World::new().await;
    world.api.state().refusals = [503].into();
    world.find(signs()).await;
    world.api.until("written", |state| state.writes.len() == 1).await;
    assert_eq!(world.api.state().asked, 2);
}

#[tokio::test]
async fn without_a_revision_there_is_nothing_to_write_to() {
    let world = World::new().await;
    world.api.state().objects.clear();
    world.find(signs()).await;
    world.api.until("looked for", |state| state.reads == 1).await;
    world.api.state().put(REVISION, &Value::Null);
    world.find(refused("no key")).await;
    world.api.until("written", |state| state.asked == 1).await;
}

#[tokio::test]
async fn what_nobody_keeps_current_any_more_is_taken_back_until_somebody_does() {
    let world = World::new().await;
    world.find(signs()).await;
    world.api.until("written", |state| state.asked == 1).await;
    world.led_by_another.send_replace(true);
    world.lease.send_replace(false);
    world.api.until("taken back", |state| state.asked == 2).await;
    assert_eq!(world.shown(CERTIFICATE_AUTHORITY_READY), Value::Null);
    assert_eq!(world.shown("Ready"), ready(), "the operator's stays");
    world.led_by_another.send_replace(false);
    world.lease.send_replace(true);
    world.api.until("written again", |state| state.asked == 3).await;
    assert_eq!(world.shown(CERTIFICATE_AUTHORITY_READY)["reason"], "SelfSigned");
}

#[tokio::test]
async fn of_two_replicas_that_take_back_at_once_one_is_outrun_which_is_no_failure() {
    let world = World::new().await;
    world.find(signs()).await;
    world.api.until("written", |state| state.asked == 1).await;
    world.api.state().refusals = [409].into();
    world.led_by_another.send_replace(true);
    world.lease.send_replace(false);
    world.api.until("taken back", |state| state.writes.len() == 2).await;
    assert_eq!(
        world.counted("tombolo_status_conflicts_total"),
        [r#"tombolo_status_conflicts_total{kind="MeshRevision"} 1"#]
    );
    assert!(world.counted("tombolo_status_errors_total").is_empty());
}

#[tokio::test]
async fn what_was_found_while_nobody_looked_is_taken_back_too() {
    let world = World::new().await;
    world.find(signs()).await;
    world.api.until("written", |state| state.asked == 1).await;
    let found = json!({"conditions": [world.shown(CERTIFICATE_AUTHORITY_READY)]});
    let another_replica_finds = || {
        let mut state = world.api.state();
        let metadata = state.objects[REVISION]["metadata"].clone();
        state.apply(&format!("{REVISION}/status"), &json!({"metadata": metadata, "status": found}));
    };
    world.led_by_another.send_replace(true);
    world.lease.send_replace(false);
    world.api.until("taken back", |state| state.writes.len() == 2).await;
    another_replica_finds();
    world.pass_until_asked(4).await;
    assert_eq!(world.shown(CERTIFICATE_AUTHORITY_READY), Value::Null);
    another_replica_finds();
    world.led_by_another.send_modify(|_| {}); // led by another again, after a moment by one of this revision
    world.api.until("taken back at once", |state| state.writes.len() == 6).await;
    assert_eq!(world.shown(CERTIFICATE_AUTHORITY_READY), Value::Null);
}
