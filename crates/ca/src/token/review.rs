//! Tokens that their issuer checks itself: for where its keys cannot be had.

use super::{TokenRules, claims::Claims, parts};
use crate::{Caller, Refusal, exists::Answer, moment};
use std::time::SystemTime;

/// The port to whoever says whether a token is genuine: an API server's TokenReview.
pub trait ReviewTokens: Send + Sync {
    /// Whether the issuer made this token, for one of these audiences, and still stands by it.
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> Answer<'a, Result<bool, ReviewError>>;
}

/// It is not known now whether a token is genuine; the request can be repeated.
#[derive(Debug, thiserror::Error)]
#[error("the issuer does not say whether the token is genuine, try again: {0}")]
pub struct ReviewError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Who the token proves that its bearer is. What it says of itself is judged first, which costs nothing; then it must be true.
pub(super) async fn verify(
    rules: &TokenRules,
    reviewer: &dyn ReviewTokens,
    token: &str,
    now: SystemTime,
) -> Result<Caller, Refusal> {
    let claims = Claims::decode(parts(token)?.payload)?;
    // Where the issuer's name cannot be had either, the reviewer vouches for it: it accepts its own tokens alone.
    let issuers = if rules.issuers.is_empty() { vec![claims.iss.clone()] } else { rules.issuers.clone() };
    let caller = TokenRules { issuers, ..rules.clone() }.judge(claims, moment::unix(now), |_| None)?;
    if reviewer.review(token, &rules.audiences).await? { Ok(caller) } else { Err(Refusal::NotGenuine) }
}
