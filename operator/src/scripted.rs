//! For tests: an API server that answers as it is told to, and has the objects that it is given.

use crate::definitions;
use http_body_util::{BodyExt as _, Collected};
use hyper::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::Notify;

/// How requests of some path and query fail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fails {
    /// By this status.
    With(u16),
    /// There is no answer.
    Never,
}

/// An API server. A handle: clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Api(Arc<Mutex<State>>, Arc<Notify>);

#[derive(Default)]
struct State {
    failing: Vec<(String, Fails)>,
    asked: Vec<String>,
    /// By the path of their collection.
    objects: Vec<(String, Value)>,
    /// What happened in a collection, and the version after it.
    events: Vec<(String, u64, Value)>,
    version: u64,
    /// Method and path of each write, and what was written.
    written: Vec<(String, Value)>,
}

impl State {
    fn happens(&mut self, collection: &str, how: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.events.push((collection.to_owned(), self.version, json!({"type": how, "object": object})));
    }
}

impl Api {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on requests fail whose path and query contain this.
    pub(crate) fn fail(&self, part: &str, how: Fails) {
        self.state().failing.push((part.to_owned(), how));
    }

    /// From now on they do not.
    pub(crate) fn recover(&self, part: &str) {
        self.state().failing.retain(|(failing, _)| failing != part);
    }

    /// Path and query of whatever was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// Method and path of each write, and what was written.
    pub(crate) fn written(&self) -> Vec<(String, Value)> {
        self.state().written.clone()
    }

    /// From now on there is such an object in a collection: `/apis/mesh.tombolo.dev/v1alpha1/meshrevisions`.
    pub(crate) fn put(&self, collection: &str, object: Value) {
        self.state().objects.push((collection.to_owned(), object));
    }

    /// From now on there is no object of this name, and whoever watches the collection is told.
    pub(crate) fn delete(&self, collection: &str, name: &str) {
        let mut state = self.state();
        let is_it = |entry: &mut (String, Value)| entry.0 == collection && entry.1["metadata"]["name"] == name;
        let gone: Vec<_> = state.objects.extract_if(.., is_it).collect();
        gone.into_iter().for_each(|(_, object)| state.happens(collection, "DELETED", object));
        drop(state);
        self.1.notify_waiters();
    }

    /// From now on there is no object of this name, and whoever watches the collection must list it anew: the API server no longer
    /// knows what happened.
    pub(crate) fn forget(&self, collection: &str, name: &str) {
        let mut state = self.state();
        state.objects.retain(|(of, object)| of != collection || object["metadata"]["name"] != name);
        let expired = refusal(410, collection).1;
        state.happens(collection, "ERROR", expired);
        drop(state);
        self.1.notify_waiters();
    }

    /// Changes an object, and whoever watches the collection is told.
    pub(crate) fn change(&self, collection: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let mut of_it =
            state.objects.iter_mut().filter(|(of, object)| of == collection && object["metadata"]["name"] == name);
        let object = &mut of_it.next().unwrap().1;
        change(object);
        let object = object.clone();
        state.happens(collection, "MODIFIED", object);
        drop(state);
        self.1.notify_waiters();
    }

    /// Whoever watches a collection is told of all that is in it.
    pub(crate) fn announce(&self, collection: &str) {
        let mut state = self.state();
        let all: Vec<_> = state.objects.iter().filter(|(of, _)| of == collection).cloned().collect();
        all.into_iter().for_each(|(_, object)| state.happens(collection, "ADDED", object));
        drop(state);
        self.1.notify_waiters();
    }

    /// Definitions of the kinds that the operator watches, which are served.
    pub(crate) fn define(&self) {
        let class = r#"{"metadata": {"name": "gatewayclasses.gateway.networking.k8s.io"}}"#;
        for (name, file) in definitions::FILES.into_iter().chain([("", class)]) {
            let mut definition: Value = serde_saphyr::from_str(file).unwrap();
            definition["metadata"]["uid"] = name.into();
            definition["metadata"]["generation"] = 1.into();
            definition["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
            self.put(DEFINITIONS, definition);
        }
    }

    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (method, asked) = (request.method().clone(), request.uri().to_string());
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                if method != Method::GET {
                    api.state().written.push((format!("{method} {path}"), body.clone()));
                }
                Ok::<_, Infallible>(api.answer(method == Method::GET, asked, &path, body).await)
            }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, read: bool, asked: String, path: &str, body: Value) -> Response<Body> {
        let failing = {
            let mut state = self.state();
            state.asked.push(asked.clone());
            state.failing.iter().find(|(part, _)| asked.contains(part)).map(|(_, how)| *how)
        };
        if failing.is_none() && asked.contains("watch=true") {
            return Response::new(Body::from(self.events(path, &asked).await.into_bytes()));
        }
        let (code, body) = match failing {
            Some(Fails::With(code)) => refusal(code, path),
            Some(Fails::Never) => pending().await,
            None if read && is_collection(path) => (200, self.list(path)),
            None if read => self.object(path),
            // What is applied is what there is then.
            None => (200, body),
        };
        let body = Body::from(body.to_string().into_bytes());
        Response::builder().status(StatusCode::from_u16(code).unwrap()).body(body).unwrap()
    }

    /// What happened in a collection after the version that was seen, as lines.
    async fn events(&self, path: &str, asked: &str) -> String {
        let seen = asked.split("resourceVersion=").nth(1).and_then(|rest| rest.split('&').next());
        let seen: u64 = seen.and_then(|seen| seen.parse().ok()).unwrap_or_default();
        loop {
            let notified = self.1.notified();
            let is_new = |entry: &&(String, u64, Value)| entry.0 == path && entry.1 > seen;
            let lines: String =
                self.state().events.iter().filter(is_new).map(|(.., event)| format!("{event}\n")).collect();
            if !lines.is_empty() {
                return lines;
            }
            notified.await;
        }
    }

    fn list(&self, path: &str) -> Value {
        let state = self.state();
        let items: Vec<_> = state.objects.iter().filter(|(of, _)| of == path).map(|(_, object)| object).collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": state.version.to_string()}, "items": items})
    }

    fn object(&self, path: &str) -> (u16, Value) {
        let state = self.state();
        let is_it = |(of, object): &&(String, Value)| {
            object["metadata"]["name"].as_str().is_some_and(|name| format!("{of}/{name}") == path)
        };
        state.objects.iter().find(is_it).map_or_else(|| refusal(404, path), |(_, object)| (200, object.clone()))
    }
}

/// Where definitions are.
pub(crate) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// `/api/v1/pods` and `/apis/apps/v1/namespaces/a/deployments`, but not `/api/v1/namespaces/a`.
fn is_collection(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let parts = &parts[if parts[0] == "api" { 2 } else { 3 }..];
    let parts = if parts[0] == "namespaces" && parts.len() > 2 { &parts[2..] } else { parts };
    parts.len() == 1
}

fn refusal(code: u16, path: &str) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "Refused" };
    // A 403 in the words of RBAC.
    let namespace = path.split("/namespaces/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let cannot = format!(": User \"x\" cannot list resource \"y\" in the namespace \"{namespace}\"");
    let message = format!("refused with {code}{}", if code == 403 { &cannot } else { "" });
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason}))
}
