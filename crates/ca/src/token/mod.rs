//! ServiceAccount tokens, checked locally: signature, issuer, audience, times, and that they are of a ServiceAccount.
//!
//! Nothing is asked of anybody, unless an issuer's keys cannot be had ([`ReviewTokens`]). Whether the objects that a token is bound to still exist is asked afterwards, through
//! [`Exists`](crate::Exists).

mod claims;
mod jwks;
mod keys;
mod review;
mod trusted;

pub use jwks::{Jwks, JwksError};
pub use keys::{FetchError, FetchKeys, KeyRing};
pub use review::{ReviewError, ReviewTokens};
pub use trusted::TrustedIssuer;

pub(crate) use trusted::verify;

use crate::{Caller, Proven, Refusal, moment};
use claims::Claims;
use std::{sync::Arc, time::Duration, time::SystemTime};
use tombolo_core::{InstanceId, SpiffeId, TrustDomain};

/// A token of Kubernetes has about 1 KiB.
const MAX_BYTES: usize = 16 * 1024;

/// Whose tokens count, and for what they must be.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The trust domain of the identities that tokens prove.
    pub trust_domain: TrustDomain,
    /// Accepted issuers (`iss`).
    pub issuers: Vec<String>,
    /// Accepted audiences; one of the token's must be among them. Default `istio-ca`, as Istio's agents project it.
    pub audiences: Vec<String>,
    /// By how much clocks may differ. Default 30 s.
    pub skew: Duration,
}

impl TokenRules {
    /// Tokens of one issuer with the default audience.
    pub fn new(trust_domain: TrustDomain, issuer: impl Into<String>) -> Self {
        let audiences = vec!["istio-ca".to_owned()];
        Self { trust_domain, issuers: vec![issuer.into()], audiences, skew: Duration::from_secs(30) }
    }
}

/// Checks tokens against the issuer's keys.
#[derive(Debug)]
pub struct TokenVerifier {
    rules: TokenRules,
    keys: Arc<KeyRing>,
}

impl TokenVerifier {
    /// Checks by `rules` against `keys`, which may be replaced meanwhile.
    pub fn new(rules: TokenRules, keys: Arc<KeyRing>) -> Self {
        // It fails where one is installed, which is as good. Without it, a second backend that some other crate turns on would make
        // the library's choice ambiguous, and it panics then.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        Self { rules, keys }
    }

    /// Whose tokens count.
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }

    /// The keys.
    pub fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    /// Who the token proves that its bearer is.
    ///
    /// # Errors
    /// A [`Refusal`] about tokens. [`Refusal::UnknownKey`] and [`Refusal::WrongIssuer`] are those where reading the keys, and the
    /// issuer's name with them, again may help.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Caller, Refusal> {
        let Parts { signed, payload, signature } = parts(token)?;
        let header =
            jsonwebtoken::decode_header(token).map_err(|_| Refusal::GarbageToken("its header is not a JWT's"))?;
        if header.crit.is_some() {
            // RFC 7515, section 4.1.11.
            return Err(Refusal::GarbageToken("it needs extensions (crit) that are not known here"));
        }
        self.keys.current().verify(&header, signed, signature)?;
        self.rules.judge(Claims::decode(payload)?, moment::unix(now), |issuer| self.keys.is_named(issuer, now))
    }
}

/// A token, taken apart.
struct Parts<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

fn parts(token: &str) -> Result<Parts<'_>, Refusal> {
    if token.len() > MAX_BYTES {
        return Err(Refusal::GarbageToken("it is longer than 16 KiB"));
    }
    let garbage = || Refusal::GarbageToken("it is not three parts with dots between");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(garbage)?;
    let (_, payload) = signed.split_once('.').filter(|(_, payload)| !payload.contains('.')).ok_or_else(garbage)?;
    Ok(Parts { signed, payload, signature })
}

impl TokenRules {
    /// What is signed is true; is it for us, and now? `named`: whether an issuer that says its name itself says this one.
    fn judge(&self, claims: Claims, now: i64, named: impl Fn(&str) -> Option<bool>) -> Result<Caller, Refusal> {
        let Self { issuers, audiences, skew, trust_domain } = self;
        if !named(&claims.iss).unwrap_or_else(|| issuers.contains(&claims.iss)) {
            return Err(Refusal::WrongIssuer { found: brief(&claims.iss), expected: issuers.join(", ") });
        }
        if !claims.aud.iter().any(|audience| audiences.contains(audience)) {
            let (found, expected) = (brief(&claims.aud.join(", ")), audiences.join(", "));
            return Err(Refusal::WrongAudience { found, expected });
        }
        let skew = moment::seconds(*skew);
        if now >= claims.exp.saturating_add(skew) {
            return Err(Refusal::TokenExpired(now.saturating_sub(claims.exp)));
        }
        let valid_from = claims.nbf.max(claims.iat);
        if now < valid_from.saturating_sub(skew) {
            return Err(Refusal::TokenNotYetValid(valid_from.saturating_sub(now)));
        }
        let expires = moment::system(claims.exp);
        let (namespace, service_account, bound) = claims.service_account()?;
        let id: SpiffeId = format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")
            .parse()
            .map_err(|_| Refusal::NotServiceAccount("its namespace or name is not one of Kubernetes"))?;
        let instance = bound.pod.as_ref().and_then(|pod| InstanceId::of_pod(&pod.uid).ok());
        Ok(Caller { id, instance, proven: Proven::Token(bound), expires })
    }
}

/// What others sent is repeated to them, and logged, only up to a length.
fn brief(text: &str) -> String {
    text.chars().take(100).collect()
}
