//! The keys of an issuer of tokens (RFC 7517).

use crate::Refusal;
use jsonwebtoken::{
    Algorithm, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};

/// An API server's document has less than 2 KiB.
const MAX_BYTES: usize = 256 * 1024;
/// Without `kid` every key is tried: this bounds what one token can cost.
const MAX_KEYS: usize = 32;

/// Why a document is not a set of keys.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// Too large.
    #[error("the JWKS has {0} bytes, more than 256 KiB: is it the right file?")]
    Oversized(usize),
    /// Not of the form.
    #[error("this is not a JWKS, which is a JSON object with a list `keys`")]
    Malformed(#[source] serde_json::Error),
    /// Too many keys.
    #[error("the JWKS has {0} keys, more than 32")]
    TooMany(usize),
    /// Nothing that tokens can be verified with.
    #[error("the JWKS has no key to verify with: RSA, EC on P-256 and Ed25519 keys for signatures are known")]
    Empty,
}

/// Keys to verify tokens with.
#[derive(Clone, Debug, Default)]
pub struct Jwks {
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

#[derive(serde::Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl Jwks {
    /// Reads a document. Keys of unknown kinds, and those that are not for signatures, are passed over (RFC 7517, section 5).
    ///
    /// # Errors
    /// [`JwksError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        if bytes.len() > MAX_BYTES {
            return Err(JwksError::Oversized(bytes.len()));
        }
        let document: Document = serde_json::from_slice(bytes).map_err(JwksError::Malformed)?;
        if document.keys.len() > MAX_KEYS {
            return Err(JwksError::TooMany(document.keys.len()));
        }
        let keys: Vec<Key> = document.keys.into_iter().filter_map(Key::read).collect();
        if keys.is_empty() { Err(JwksError::Empty) } else { Ok(Self { keys }) }
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether one of the keys that `header` may mean made `signature`. The algorithm is the key's, never the token's choice.
    pub(super) fn verify(&self, header: &Header, signed: &str, signature: &str) -> Result<(), Refusal> {
        let named = self.keys.iter().any(|key| key.id.is_some() && key.id == header.kid);
        let mut candidates = self
            .keys
            .iter()
            .filter(|key| if named { key.id == header.kid } else { header.kid.is_none() || key.id.is_none() })
            .peekable();
        if candidates.peek().is_none() {
            return Err(Refusal::UnknownKey(super::brief(header.kid.as_deref().unwrap_or_default())));
        }
        let fits = |key: &Key| {
            key.algorithm == header.alg
                && jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.key, key.algorithm).unwrap_or(false)
        };
        if candidates.any(fits) { Ok(()) } else { Err(Refusal::TokenSignature) }
    }
}

impl Key {
    fn read(value: serde_json::Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != jsonwebtoken::jwk::PublicKeyUse::Signature)
        {
            return None;
        }
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            _ => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, algorithm, key })
    }
}
