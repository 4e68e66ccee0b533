//! A review to its answer. Pure.

use super::claim::Claim;
use kube::{
    api::DynamicObject,
    core::admission::{self, AdmissionRequest, AdmissionResponse, AdmissionReview, Operation},
};
use tombolo_api::{Kind, manifest};
use tombolo_core::Problem;

/// The API server cuts longer warnings. Characters.
const LONGEST: usize = 256;
/// It drops those beyond 4,096 characters of all that are said of one request: one is kept for how many there are.
const MOST: usize = 15;

/// Why a body is no review.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the body is no AdmissionReview of admission.k8s.io/v1: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the body is {0} of {1:?}: send an AdmissionReview of admission.k8s.io/v1")]
    Other(String, String),
    #[error("the AdmissionReview has no request: send one with uid, operation and object")]
    Empty,
}

/// What was asked, and what is answered.
#[derive(Debug)]
pub(super) struct Reviewed {
    /// The kind that is reviewed; `other` for kinds that are not read.
    pub(super) kind: &'static str,
    /// Who is to serve it.
    pub(super) claim: Claim,
    /// How many problems were found.
    pub(super) problems: usize,
    /// For the API server: allowed, with a warning for each problem.
    pub(super) answer: AdmissionReview<DynamicObject>,
}

impl Reviewed {
    /// The same with nothing to say.
    pub(super) fn silent(mut self) -> Self {
        self.problems = 0;
        if let Some(response) = &mut self.answer.response {
            response.warnings = None;
        }
        self
    }
}

/// Answers a review.
pub(super) fn review(body: &[u8]) -> Result<Reviewed, Malformed> {
    let request = read(body)?;
    let kind = Kind::find(&request.kind.group, &request.kind.kind).map_or("other", Kind::name);
    let problems = problems(&request);
    let mut response = AdmissionResponse::from(&request);
    response.warnings = (!problems.is_empty()).then(|| warnings(&problems));
    let claim = request.object.as_ref().map_or(Claim::Everybody, Claim::of);
    Ok(Reviewed { kind, claim, problems: problems.len(), answer: response.into_review() })
}

fn read(body: &[u8]) -> Result<AdmissionRequest<DynamicObject>, Malformed> {
    let review: AdmissionReview<DynamicObject> = serde_json::from_slice(body)?;
    let types = &review.types;
    if types.kind != admission::META_KIND || types.api_version != admission::META_API_VERSION_V1 {
        return Err(Malformed::Other(review.types.kind, review.types.api_version));
    }
    review.try_into().map_err(|_| Malformed::Empty)
}

/// What is wrong with the object as it would be stored. One that is going needs no mending.
fn problems(request: &AdmissionRequest<DynamicObject>) -> Vec<Problem> {
    let written = matches!(request.operation, Operation::Create | Operation::Update);
    let object = request.object.as_ref().filter(|object| written && object.metadata.deletion_timestamp.is_none());
    let document = object.and_then(|object| serde_json::to_value(object).ok());
    document.map(|document| manifest::decode_stored(document).problems).unwrap_or_default()
}

/// As `kubectl` shows them: what is not served before what is served in part.
fn warnings(problems: &[Problem]) -> Vec<String> {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|problem| problem.severity); // stable: otherwise in the object's order
    let mut lines: Vec<String> = sorted.iter().take(MOST).map(|problem| line(problem)).collect();
    if let Some(more) = problems.len().checked_sub(MOST).filter(|more| *more > 0) {
        lines.push(format!("{more} more problems: tombolo validate shows all"));
    }
    lines
}

/// A header may hold no control characters, and user's text may.
fn line(problem: &Problem) -> String {
    let text = if problem.is_error() { format!("not served as written: {problem}") } else { problem.to_string() };
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = text.clone().take(LONGEST).collect();
    if text.count() > LONGEST {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
pub(super) mod tests;
