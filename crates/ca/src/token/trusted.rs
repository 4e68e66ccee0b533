//! Several issuers of tokens, each with keys of its own: what one signs is never judged by another's keys.

use super::{FetchKeys, MAX_BYTES, ReviewTokens, TokenRules, TokenVerifier, brief, review};
use crate::{Caller, Refusal};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

/// An issuer whose tokens count. A handle: clones are the same one.
#[derive(Clone)]
pub struct TrustedIssuer(Arc<Issuer>);

struct Issuer {
    how: How,
    /// How instead, once its keys could be had after all.
    keys: OnceLock<How>,
}

/// How its tokens are checked.
enum How {
    /// By its keys, and where fresh ones come from when a token's key is unknown.
    Keys(TokenVerifier, Option<Arc<dyn FetchKeys>>),
    /// By itself.
    Review(TokenRules, Arc<dyn ReviewTokens>),
}

impl TrustedIssuer {
    fn of(how: How) -> Self {
        Self(Arc::new(Issuer { how, keys: OnceLock::new() }))
    }

    /// One whose keys, and name, are read again from `source` when a token's key or issuer is unknown.
    pub fn new(verifier: TokenVerifier, source: Arc<dyn FetchKeys>) -> Self {
        Self::of(How::Keys(verifier, Some(source)))
    }

    /// One that checks its tokens itself, while its keys cannot be had. Rules without issuers take what it takes.
    pub fn reviewing(rules: TokenRules, reviewer: Arc<dyn ReviewTokens>) -> Self {
        Self::of(How::Review(rules, reviewer))
    }

    /// Its keys can be had after all: tokens are checked by them from now on. Of several calls the first counts.
    pub fn check_by_keys(&self, verifier: TokenVerifier, source: Arc<dyn FetchKeys>) {
        _ = self.0.keys.set(How::Keys(verifier, Some(source)));
    }

    fn how(&self) -> &How {
        self.0.keys.get().unwrap_or(&self.0.how)
    }

    async fn verify(&self, token: &str, now: SystemTime) -> Result<Caller, Refusal> {
        let (verifier, source) = match self.how() {
            How::Keys(verifier, source) => (verifier, source),
            How::Review(rules, reviewer) => return review::verify(rules, &**reviewer, token, now).await,
        };
        let keys = verifier.keys();
        let seen = keys.current();
        match (verifier.verify(token, now), source) {
            (Err(refusal @ (Refusal::UnknownKey(_) | Refusal::WrongIssuer { .. })), Some(source)) => {
                let fresh = keys.refresh(&seen, &**source, now).await;
                if fresh { verifier.verify(token, now) } else { Err(refusal) }
            }
            (outcome, _) => outcome,
        }
    }

    fn rules(&self) -> &TokenRules {
        match self.how() {
            How::Keys(verifier, _) => verifier.rules(),
            How::Review(rules, _) => rules,
        }
    }
}

/// Keys that never change.
impl From<TokenVerifier> for TrustedIssuer {
    fn from(verifier: TokenVerifier) -> Self {
        Self::of(How::Keys(verifier, None))
    }
}

impl fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedIssuer").field("rules", self.rules()).finish_non_exhaustive()
    }
}

/// Who the token proves that its bearer is, to one of these issuers.
pub(crate) async fn verify(issuers: &[TrustedIssuer], token: &str, now: SystemTime) -> Result<Caller, Refusal> {
    let issuer = match issuers {
        [] => return Err(Refusal::NoProof),
        [only] => only,
        several => choose(several, token)?,
    };
    issuer.verify(token, now).await
}

/// By what the token says of itself. Nobody vouches for that yet, so it only decides whose keys must have signed it.
fn choose<'a>(issuers: &'a [TrustedIssuer], token: &str) -> Result<&'a TrustedIssuer, Refusal> {
    let Some(name) = claimed_issuer(token) else {
        return Err(Refusal::GarbageToken("its claims are not JSON with iss"));
    };
    let names = |issuer: &'a TrustedIssuer| &*issuer.rules().issuers;
    let found = issuers.iter().find(|issuer| names(issuer).contains(&name));
    found.ok_or_else(|| {
        let expected = issuers.iter().flat_map(names).cloned().collect::<Vec<_>>().join(", ");
        Refusal::WrongIssuer { found: brief(&name), expected }
    })
}

fn claimed_issuer(token: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Claimed {
        iss: String,
    }
    let payload = token.split('.').nth(1).filter(|_| token.len() <= MAX_BYTES)?;
    let claims: Claimed = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(claims.iss)
}
