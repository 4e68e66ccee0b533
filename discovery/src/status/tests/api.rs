//! An API server that knows objects, and how to patch and how to apply their status.

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Objects by path. A handle: clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Api(Arc<Mutex<State>>);

#[derive(Default)]
pub(super) struct State {
    pub(super) objects: BTreeMap<String, Value>,
    /// Each write that was accepted, by path.
    pub(super) writes: Vec<(String, Value)>,
    /// How often something was read.
    pub(super) reads: usize,
    /// Every write that was asked for.
    pub(super) asked: usize,
    /// Answers to the next writes, instead of what would be.
    pub(super) refusals: VecDeque<u16>,
    /// Fields of statuses that are dropped, as an older schema would.
    pub(super) unknown: Option<&'static str>,
    /// Types of conditions that were applied here: those that are applied no more are dropped.
    applied: BTreeSet<String>,
    version: u64,
}

impl Api {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Waits until that is so.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !holds(&self.state()) {
            let state = self.state();
            assert!(Instant::now() < deadline, "not {what}: {:#?} {:#?}", state.objects, state.writes);
            drop(state);
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (path, query) = (parts.uri.path(), parts.uri.query());
        let (code, body) = if parts.method == Method::GET {
            self.state().get(path)
        } else {
            assert_eq!(parts.method, Method::PATCH, "nothing else is asked: {}", parts.uri);
            let patch = serde_json::from_slice(&body).unwrap();
            match parts.headers["content-type"].to_str().unwrap() {
                "application/merge-patch+json" => {
                    assert_eq!(query, Some("&fieldManager=tombolo-writer"));
                    self.state().patch(path, &patch)
                }
                other => {
                    assert_eq!(other, "application/apply-patch+yaml");
                    assert_eq!(query, Some("&force=true&fieldManager=tombolo-writer"));
                    self.state().apply(path, &patch)
                }
            }
        };
        let body = Body::from(body.to_string().into_bytes());
        Response::builder().status(code).body(body).unwrap()
    }
}

impl State {
    /// Stores an object, and returns its version.
    pub(super) fn put(&mut self, path: &str, status: &Value) -> String {
        self.version += 1;
        let version = self.version.to_string();
        let name = path.rsplit('/').next().unwrap();
        let object = json!({"apiVersion": "v1", "kind": "Any", "metadata": {"name": name, "resourceVersion": version},
            "status": status});
        self.objects.insert(path.to_owned(), object);
        version
    }

    fn get(&mut self, path: &str) -> (StatusCode, Value) {
        self.reads += 1;
        self.objects.get(path).map_or_else(|| refuse(404), |object| (StatusCode::OK, object.clone()))
    }

    /// Conditions are a map by type: others' stay. Everything else of a status would be somebody else's.
    pub(super) fn apply(&mut self, path: &str, patch: &Value) -> (StatusCode, Value) {
        self.asked += 1;
        let path = path.strip_suffix("/status").unwrap();
        if let Some(code) = self.refusals.pop_front() {
            return refuse(code);
        }
        let Some(object) = self.objects.get(path) else { return refuse(404) };
        if object["metadata"]["resourceVersion"] != patch["metadata"]["resourceVersion"] {
            return refuse(409);
        }
        assert_eq!(patch["status"].as_object().unwrap().keys().collect::<Vec<_>>(), ["conditions"]);
        let applied = patch["status"]["conditions"].as_array().unwrap();
        let mut status = object["status"].clone();
        let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let types = applied.iter().map(|new| new["type"].as_str().unwrap().to_owned()).collect();
        let before = std::mem::replace(&mut self.applied, types);
        let is_applied =
            |old: &Value| old["type"].as_str().is_some_and(|of| before.contains(of) || self.applied.contains(of));
        conditions.retain(|old| !is_applied(old));
        conditions.extend(applied.iter().cloned());
        status["conditions"] = conditions.into();
        self.put(path, &status);
        self.writes.push((path.to_owned(), patch["status"].clone()));
        (StatusCode::OK, self.objects[path].clone())
    }

    fn patch(&mut self, path: &str, patch: &Value) -> (StatusCode, Value) {
        self.asked += 1;
        let path = path.strip_suffix("/status").unwrap();
        if let Some(code) = self.refusals.pop_front() {
            return refuse(code);
        }
        let Some(object) = self.objects.get(path) else { return refuse(404) };
        if object["metadata"]["resourceVersion"] != patch["metadata"]["resourceVersion"] {
            return refuse(409);
        }
        let mut status = object["status"].as_object().cloned().unwrap_or_default();
        for (name, value) in patch["status"].as_object().unwrap() {
            match value {
                _ if self.unknown == Some(name) => {}
                Value::Null => drop(status.remove(name)),
                value => drop(status.insert(name.clone(), value.clone())),
            }
        }
        self.put(path, &status.into());
        self.writes.push((path.to_owned(), patch["status"].clone()));
        (StatusCode::OK, self.objects[path].clone())
    }
}

fn refuse(code: u16) -> (StatusCode, Value) {
    let body = json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": "No"});
    (StatusCode::from_u16(code).unwrap(), body)
}
