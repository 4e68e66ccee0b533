//! What the proxies of this replica reject, for people and for other replicas.

use super::{Page, json, text};
use crate::{
    ControlPlane,
    rejections::{LONGEST_QUESTION, asked},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Method, Request, StatusCode, body::Incoming};
use std::{collections::BTreeSet, error::Error, time::Duration};
use tokio::{sync::Mutex, time::timeout};

/// Where it is.
pub(super) const PATH: &str = "/debug/rejections";
/// For a question to arrive: it comes from a machine that has it at hand.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was posted, as it came; nothing where the page is only read.
pub(super) type Question = Result<Option<Bytes>, Box<dyn Error + Send + Sync>>;

/// Reads what is posted.
pub(super) async fn read(request: Request<Incoming>) -> Question {
    if request.method() != Method::POST {
        return Ok(None);
    }
    let body = Limited::new(request.into_body(), LONGEST_QUESTION).collect();
    Ok(Some(timeout(PATIENCE, body).await??.to_bytes()))
}

/// The page. Whoever posts a list of resources is told of these too which of them some proxy has taken: one at a time, as to find out takes
/// a walk through the proxies of each.
pub(super) async fn page(plane: &ControlPlane, posted: &Mutex<()>, question: Question) -> Page {
    let wrong = match &question {
        Ok(None) => return json(plane.rejected(&BTreeSet::new()).await.map(|report| json!(report))),
        Ok(Some(body)) => {
            let _one = posted.lock().await;
            match asked(body) {
                Ok(parts) => return json(plane.rejected(&parts).await.map(|report| json!(report))),
                Err(error) => error.to_string(),
            }
        }
        Err(error) => error.to_string(),
    };
    text(StatusCode::BAD_REQUEST, format!("post a list of resources: {wrong}\n"))
}
