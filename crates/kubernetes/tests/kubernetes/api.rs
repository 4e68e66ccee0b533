//! An API server that knows objects, versions, and who applied which field.

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
};

/// Objects by path. A handle: clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Value>,
    /// What was asked: method and path.
    pub(crate) asked: Vec<String>,
    version: u64,
    uids: u64,
}

impl Server {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Requests that were more than looks.
    pub(crate) fn writes(&self) -> usize {
        self.state().asked.iter().filter(|asked| !asked.starts_with("GET")).count()
    }

    pub(crate) fn client(&self) -> Client {
        self.client_through(Arc::default())
    }

    /// One that hears nothing while the line is cut.
    pub(crate) fn client_through(&self, cut: Arc<Mutex<bool>>) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, cut) = (server.clone(), cut.clone());
            async move {
                if *cut.lock().unwrap() {
                    pending::<()>().await;
                }
                Ok::<_, Infallible>(server.answer(request).await)
            }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let mut state = self.state();
        state.asked.push(format!("{} {path}", parts.method));
        let (code, body) = match parts.method {
            Method::GET => state.get(path, query),
            Method::POST => state.create(path, body),
            Method::PUT => state.replace(path, body),
            Method::PATCH => state.apply(path, query, &body),
            Method::DELETE => state.delete(path, &body),
            method => panic!("{method} is not known here"),
        };
        let body = Body::from(body.to_string().into_bytes());
        Response::builder().status(StatusCode::from_u16(code).unwrap()).body(body).unwrap()
    }
}

fn refuse(code: u16) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "Conflict" };
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": reason}))
}

impl State {
    /// Stores an object, in a version of its own.
    pub(crate) fn put(&mut self, path: &str, mut object: Value) -> (u16, Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["metadata"]["uid"].is_null() {
            self.uids += 1;
            object["metadata"]["uid"] = format!("uid-{}", self.uids).into();
        }
        self.objects.insert(path.to_owned(), object.clone());
        (200, object)
    }

    fn get(&self, path: &str, query: &str) -> (u16, Value) {
        if let Some(object) = self.objects.get(path) {
            return (200, object.clone());
        }
        if !path.rsplit('/').next().unwrap().ends_with('s') {
            return refuse(404);
        }
        // Selectors are of the one form `a=b`.
        let selector = query.split('&').find_map(|part| part.strip_prefix("labelSelector=")).unwrap();
        let (label, value) = selector.split_once("%3D").unwrap();
        let prefix = format!("{path}/");
        let items = self
            .objects
            .iter()
            .filter(|(path, object)| path.starts_with(&prefix) && object["metadata"]["labels"][label] == value);
        let items: Vec<_> = items.map(|(_, object)| json!({"metadata": object["metadata"]})).collect();
        (
            200,
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": items}),
        )
    }

    fn create(&mut self, path: &str, object: Value) -> (u16, Value) {
        let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
        if self.objects.contains_key(&path) {
            return refuse(409);
        }
        self.put(&path, object)
    }

    fn replace(&mut self, path: &str, object: Value) -> (u16, Value) {
        match self.objects.get(path) {
            None => refuse(404),
            Some(old) if old["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] => refuse(409),
            Some(_) => self.put(path, object),
        }
    }

    /// Fields are merged, and those of the manager that are not applied any more removed, on the two upper levels.
    fn apply(&mut self, path: &str, query: &str, wanted: &Value) -> (u16, Value) {
        assert!(query.contains("force=true"), "{query}");
        let manager = query.split('&').find_map(|part| part.strip_prefix("fieldManager=")).unwrap();
        let old = self.objects.get(path).cloned();
        let mut object = old.clone().unwrap_or_else(|| json!({"metadata": {"name": wanted["metadata"]["name"]}}));
        let mut fields = Map::new();
        let before = object["metadata"]["managedFields"][0]["fieldsV1"].clone();
        for (section, inner) in before.as_object().into_iter().flatten() {
            for field in inner.as_object().unwrap().keys() {
                let (section, field) = (section.strip_prefix("f:").unwrap(), field.strip_prefix("f:").unwrap());
                object[section].as_object_mut().unwrap().remove(field);
            }
        }
        for section in ["metadata", "spec", "data"] {
            let named = |field: &&String| section != "metadata" || !["name", "namespace"].contains(&field.as_str());
            let Some(wanted) = wanted[section].as_object() else { continue };
            let names: Vec<_> = wanted.keys().filter(named).collect();
            for name in &names {
                // Numbers become text: values are not kept as they are written.
                let value = &wanted[*name];
                object[section][name] = if value.is_number() { value.to_string().into() } else { value.clone() };
            }
            if !names.is_empty() {
                let names = names.iter().map(|name| (format!("f:{name}"), json!({}))).collect::<Map<_, _>>();
                fields.insert(format!("f:{section}"), names.into());
            }
        }
        object["metadata"]["managedFields"] = json!([{"manager": manager, "operation": "Apply", "fieldsV1": fields}]);
        match old {
            Some(old) if old == object => (200, old),
            _ => self.put(path, object),
        }
    }

    fn delete(&mut self, path: &str, options: &Value) -> (u16, Value) {
        assert_eq!(options["propagationPolicy"], "Background");
        match self.objects.get(path) {
            None => refuse(404),
            Some(object) if object["metadata"]["uid"] != options["preconditions"]["uid"] => refuse(409),
            Some(_) => (200, self.objects.remove(path).unwrap()),
        }
    }
}
