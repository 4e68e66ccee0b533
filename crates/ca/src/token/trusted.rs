//! Several issuers of tokens, each with keys of its own: what one signs is never judged by another's keys.

use super::{FetchKeys, MAX_BYTES, TokenVerifier, brief};
use crate::{Caller, Refusal};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, sync::Arc, time::SystemTime};

/// An issuer whose tokens count.
pub struct TrustedIssuer {
    verifier: TokenVerifier,
    /// Where fresh keys come from when a token's key is unknown.
    source: Option<Arc<dyn FetchKeys>>,
}

impl TrustedIssuer {
    /// One whose keys are read again from `source` when a token's key is unknown.
    pub fn new(verifier: TokenVerifier, source: Arc<dyn FetchKeys>) -> Self {
        Self { verifier, source: Some(source) }
    }

    /// What checks its tokens.
    pub fn verifier(&self) -> &TokenVerifier {
        &self.verifier
    }

    async fn verify(&self, token: &str, now: SystemTime) -> Result<Caller, Refusal> {
        let keys = self.verifier.keys();
        let seen = keys.current();
        match (self.verifier.verify(token, now), &self.source) {
            (Err(Refusal::UnknownKey(key)), Some(source)) => {
                let fresh = keys.refresh(&seen, &**source, now).await;
                if fresh { self.verifier.verify(token, now) } else { Err(Refusal::UnknownKey(key)) }
            }
            (outcome, _) => outcome,
        }
    }
}

/// Keys that never change.
impl From<TokenVerifier> for TrustedIssuer {
    fn from(verifier: TokenVerifier) -> Self {
        Self { verifier, source: None }
    }
}

impl fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedIssuer").field("verifier", &self.verifier).finish_non_exhaustive()
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
    let names = |issuer: &'a TrustedIssuer| &*issuer.verifier.rules.issuers;
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
