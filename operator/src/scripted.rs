//! For tests: an API server without objects, which answers as it is told to.

use hyper::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
};

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
pub(crate) struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    failing: Vec<(String, Fails)>,
    asked: Vec<String>,
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

    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            let (read, asked) = (request.method() == Method::GET, request.uri().to_string());
            async move { Ok::<_, Infallible>(api.answer(read, asked).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, read: bool, asked: String) -> Response<Body> {
        let failing = {
            let mut state = self.state();
            state.asked.push(asked.clone());
            state.failing.iter().find(|(part, _)| asked.contains(part)).map(|(_, how)| *how)
        };
        let (code, body) = match failing {
            Some(Fails::With(code)) => refusal(code),
            Some(Fails::Never) => pending().await,
            None if asked.contains("watch=true") => pending().await,
            None if read && asked.contains("limit=") => (200, empty()),
            None => refusal(404),
        };
        let body = Body::from(body.to_string().into_bytes());
        Response::builder().status(StatusCode::from_u16(code).unwrap()).body(body).unwrap()
    }
}

fn empty() -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []})
}

fn refusal(code: u16) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "Refused" };
    let message = format!("refused with {code}");
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason}))
}
