//! The claims of Kubernetes' projected ServiceAccount tokens.

use crate::{Bound, ObjectUid, Refusal};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer};

#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) aud: Vec<String>,
    /// Seconds since the epoch, like `nbf` and `iat`. A token without an end is not accepted.
    #[serde(deserialize_with = "numeric_date")]
    pub(super) exp: i64,
    #[serde(default, deserialize_with = "numeric_date")]
    pub(super) nbf: i64,
    #[serde(default, deserialize_with = "numeric_date")]
    pub(super) iat: i64,
    sub: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Kubernetes>,
}

#[derive(Debug, Deserialize)]
struct Kubernetes {
    namespace: String,
    serviceaccount: ObjectUid,
    pod: Option<ObjectUid>,
    secret: Option<ObjectUid>,
}

impl Claims {
    /// From the token's middle part, whose signature was verified.
    pub(super) fn decode(payload: &str) -> Result<Self, Refusal> {
        let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refusal::GarbageToken("its claims are not base64"))?;
        serde_json::from_slice(&bytes)
            .map_err(|_| Refusal::GarbageToken("its claims are not JSON with iss, sub and exp"))
    }

    /// Namespace and name of the ServiceAccount. `sub` and `kubernetes.io` must agree: the second is what the token is bound by.
    pub(super) fn service_account(self) -> Result<(String, String, Bound), Refusal> {
        let subject = self.sub.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let (namespace, name) =
            subject.ok_or(Refusal::NotServiceAccount("sub is not system:serviceaccount:NAMESPACE:NAME"))?;
        let Some(Kubernetes { namespace: bound_namespace, serviceaccount, pod, secret }) = self.kubernetes else {
            return Err(Refusal::NotServiceAccount(
                "the claim kubernetes.io is missing, so nothing says what it is bound to",
            ));
        };
        if (namespace, name) != (&*bound_namespace, &*serviceaccount.name) {
            return Err(Refusal::NotServiceAccount("sub and kubernetes.io name different ServiceAccounts"));
        }
        let bound = Bound { service_account: serviceaccount.uid, pod, secret };
        Ok((bound_namespace, serviceaccount.name, bound))
    }
}

/// RFC 7519, section 4.1.3: one audience need not be a list.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

/// RFC 7519, section 2: seconds, which need not be whole.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    // A cast from a float saturates.
    Ok(number.as_i64().unwrap_or_else(|| number.as_f64().unwrap_or(f64::MAX) as i64))
}
