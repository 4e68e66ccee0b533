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
        let bound = Bound { issuer: self.iss, service_account: serviceaccount.uid, pod, secret };
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{
        prelude::*,
        test_runner::{Config, RngSeed, TestRunner},
    };

    const GOOD: &str = r#"{"iss":"i","aud":["a"],"exp":1,"nbf":1.5,"iat":1,"sub":"system:serviceaccount:n:s","kubernetes.io":{
        "namespace":"n","serviceaccount":{"name":"s","uid":"u"},"pod":{"name":"p","uid":"v"}}}"#;

    /// Whoever holds an issuer's key may write what they like.
    #[test]
    fn claims_of_any_bytes_are_read_or_refused() {
        let decode = |bytes: &[u8]| Claims::decode(&URL_SAFE_NO_PAD.encode(bytes)).and_then(Claims::service_account);
        assert!(decode(GOOD.as_bytes()).is_ok());
        let default = Config::default();
        let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 100_000 };
        let config = Config { cases, rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..default };
        let edits = prop::collection::vec((0..GOOD.len(), any::<u8>()), 1..6);
        TestRunner::new(config)
            .run(&edits, |edits| {
                let mut bytes = GOOD.as_bytes().to_vec();
                edits.into_iter().for_each(|(at, byte)| bytes[at] = byte);
                drop(decode(&bytes));
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn dates_are_seconds_whole_or_not_and_saturate() {
        let date = |text: &str| {
            let claims = GOOD.replace("\"exp\":1", &format!("\"exp\":{text}"));
            Claims::decode(&URL_SAFE_NO_PAD.encode(claims)).map(|claims| claims.exp).ok()
        };
        let dates = ["17", "17.9", "18446744073709551615", "-1e300"].map(date);
        assert_eq!(dates, [Some(17), Some(17), Some(i64::MAX), Some(i64::MIN)]);
        assert_eq!(["null", "\"17\"", "1e999", "true"].map(date), [None; 4]);
    }
}
