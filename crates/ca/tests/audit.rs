//! The audit: one line for each certificate and each refusal, with everything that one would look for and no secret.
//!
//! A program of its own: which lines are written is decided once per process, so tests side by side would get in each other's way.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "ca/support.rs"]
#[allow(dead_code)] // it is there for the other tests
mod support;

use rcgen::KeyPair;
use serde_json::Value;
use std::{
    io::Write,
    sync::{Arc, Mutex},
};
use support::{ID, INSTANCE, Mesh, by_certificate, by_token, request};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn each_certificate_and_each_refusal_is_one_line() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(lines.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let mesh = Mesh::new();
    let token = mesh.token();
    let identity = mesh.join().await;
    mesh.renew(&identity).await.unwrap();
    mesh.world.revoked.lock().unwrap().insert(INSTANCE.to_owned());
    mesh.issue(by_token(&token), &request(&KeyPair::generate().unwrap())).await.unwrap_err();
    mesh.authority.authenticate(by_certificate(&identity.chain), mesh.now).await.unwrap_err();
    mesh.authority.authenticate(by_token("x"), mesh.now).await.unwrap_err();
    drop(guard);

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fields = |event: &Value| {
        let field = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(field("target"), "audit", "{event}");
        [field("identity"), field("instance"), field("proof") + &field("what"), field("reason")]
    };
    let expected = [
        [ID, INSTANCE, "token", ""],
        [ID, INSTANCE, "certificate", ""],
        [ID, INSTANCE, "certificate", "revoked"],
        [ID, INSTANCE, "stream", "revoked"],
        ["", "", "stream", "garbage_token"],
    ];
    assert_eq!(events.iter().map(fields).collect::<Vec<_>>(), expected);
    assert_eq!(events[0]["serial"].as_str().unwrap().len(), 32);
    assert!(!text.contains(&token) && !text.contains("PRIVATE"));
}
