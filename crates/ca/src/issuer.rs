//! An issuer of ServiceAccount tokens where there is no Kubernetes: it signs what the API server would.

use crate::{Jwks, JwksError, ObjectUid, Secret, certificate::hex, moment};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::{Duration, SystemTime};

/// The issuer could not be made, or did not sign.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Making or reading the key failed.
    #[error("the token issuer's key could not be made or read: {0}")]
    Key(#[from] rcgen::Error),
    /// Signing failed.
    #[error("the token issuer could not sign: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// The stored text is not what was written.
    #[error("the stored token issuer cannot be read; remove it, and a new one is made")]
    Stored(#[from] serde_json::Error),
    /// Its own keys cannot be read back.
    #[error(transparent)]
    Jwks(#[from] JwksError),
}

/// Signs tokens with a key of its own (ES256). A value that its holder keeps in a store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocalIssuer {
    /// The `iss` of its tokens.
    issuer: String,
    /// PEM, PKCS #8.
    key: Secret,
}

/// For whom a token is, and what it is bound to.
#[derive(Clone, Debug, Default)]
pub struct TokenSpec<'a> {
    /// The ServiceAccount's namespace.
    pub namespace: &'a str,
    /// The ServiceAccount.
    pub service_account: &'a str,
    /// The ServiceAccount's UID.
    pub uid: &'a str,
    /// The pod that it is bound to.
    pub pod: Option<ObjectUid>,
    /// The Secret that it is bound to.
    pub secret: Option<ObjectUid>,
    /// The audience.
    pub audience: &'a str,
    /// For how long it counts.
    pub lifetime: Duration,
}

impl LocalIssuer {
    /// With a new key. `issuer` is the `iss` of its tokens.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn create(issuer: impl Into<String>) -> Result<Self, IssuerError> {
        Ok(Self { issuer: issuer.into(), key: Secret::new(KeyPair::generate()?.serialize_pem()) })
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`IssuerError::Stored`], [`IssuerError::Key`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, IssuerError> {
        let issuer: Self = serde_json::from_slice(bytes)?;
        issuer.key()?;
        Ok(issuer)
    }

    /// For the store. It holds the private key.
    ///
    /// # Errors
    /// None is known.
    pub fn to_json(&self) -> Result<Vec<u8>, IssuerError> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its public key, as the document that [`Jwks::parse`] reads.
    ///
    /// # Errors
    /// [`IssuerError::Key`].
    pub fn jwks_document(&self) -> Result<Vec<u8>, IssuerError> {
        Ok(serde_json::to_vec_pretty(&json!({ "keys": [self.jwk()?] }))?)
    }

    /// Its public key.
    ///
    /// # Errors
    /// [`IssuerError::Key`].
    pub fn jwks(&self) -> Result<Jwks, IssuerError> {
        Ok(Jwks::parse(&self.jwks_document()?)?)
    }

    /// A token with the claims that Kubernetes writes.
    ///
    /// # Errors
    /// [`IssuerError::Token`].
    pub fn token(&self, spec: &TokenSpec<'_>, now: SystemTime) -> Result<String, IssuerError> {
        let TokenSpec { namespace, service_account, uid, pod, secret, audience, lifetime } = spec;
        let issued = moment::unix(now);
        let object = |object: &ObjectUid| json!({ "name": object.name, "uid": object.uid });
        let mut bound = json!({ "namespace": namespace, "serviceaccount": { "name": service_account, "uid": uid } });
        for (kind, of) in [("pod", pod), ("secret", secret)] {
            if let Some(of) = of {
                bound[kind] = object(of);
            }
        }
        let claims = json!({
            "iss": self.issuer,
            "aud": [audience],
            "iat": issued,
            "nbf": issued,
            "exp": issued.saturating_add(moment::seconds(*lifetime)),
            "sub": format!("system:serviceaccount:{namespace}:{service_account}"),
            "kubernetes.io": bound,
        });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = self.jwk()?.common.key_id;
        Ok(jsonwebtoken::encode(&header, &claims, &self.key()?)?)
    }

    fn key(&self) -> Result<EncodingKey, IssuerError> {
        Ok(EncodingKey::from_ec_der(KeyPair::from_pem(self.key.reveal())?.serialized_der()))
    }

    fn jwk(&self) -> Result<Jwk, IssuerError> {
        let mut jwk = Jwk::from_encoding_key(&self.key()?, Algorithm::ES256)?;
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256)?);
        Ok(jwk)
    }
}

/// A UID for an object that has none, always the same for the same text: a hash of it in the form of a UUID.
pub fn stable_uid(text: &str) -> String {
    let hash = hex(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref()[..16]);
    [&hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..]].join("-")
}
