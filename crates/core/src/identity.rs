//! Who a workload is: SPIFFE ids, trust domains, and which instance of a workload holds a certificate.

use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr, sync::Arc};

/// The root of a mesh's identities: a lower-case name such as `cluster.local`, at most 255 bytes of letters, digits, dots,
/// hyphens and underscores (SPIFFE-ID, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

/// A workload's identity: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    /// Who vouches for it.
    pub trust_domain: TrustDomain,
    /// The workload's namespace.
    pub namespace: Arc<str>,
    /// The ServiceAccount that it runs as.
    pub service_account: Arc<str>,
}

/// Which instance of a workload: a pod's UID, or a machine's id. Certificates carry it, so that one instance can be revoked.
///
/// Between 1 and 128 bytes of letters, digits, `-`, `_`, `.`, `:` and `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(Arc<str>);

/// How the id of an instance that is a pod begins.
const POD: &str = "pod/";

/// Why a text is not a name of identities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a trust domain.
    #[error(
        "{0:?} is not a trust domain: use lower-case letters, digits, dots, hyphens and underscores, such as cluster.local"
    )]
    TrustDomain(String),
    /// Not an id of a workload.
    #[error("{0:?} is not of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT")]
    SpiffeId(String),
    /// Not an instance.
    #[error("{0:?} is not an instance id: use 1 to 128 letters, digits, and -_.:/")]
    InstanceId(String),
    /// A pod's, said by another.
    #[error("{0:?} is a pod's instance id, which only a token bound to that pod gives: use an id without {POD}")]
    PodInstance(String),
}

// === TrustDomain ===

impl TrustDomain {
    /// The trust domain of this text.
    ///
    /// # Errors
    /// [`IdentityError::TrustDomain`].
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        let valid = (1..=255).contains(&text.len()) && text.bytes().all(allowed);
        valid.then(|| Self(text.into())).ok_or_else(|| IdentityError::TrustDomain(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    /// `cluster.local`, as Istio's default is.
    fn default() -> Self {
        Self("cluster.local".into())
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === SpiffeId ===

impl FromStr for SpiffeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let error = || IdentityError::SpiffeId(text.to_owned());
        let rest = text.strip_prefix("spiffe://").ok_or_else(error)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [domain, "ns", namespace, "sa", service_account] = parts[..] else { return Err(error()) };
        let trust_domain = TrustDomain::parse(domain).map_err(|_| error())?;
        if !is_segment(namespace) || !is_segment(service_account) {
            return Err(error());
        }
        Ok(Self { trust_domain, namespace: namespace.into(), service_account: service_account.into() })
    }
}

/// A path segment by SPIFFE-ID, section 2.2: no dots alone, and no percent-encoding.
fn is_segment(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !text.is_empty() && text.len() <= 253 && text != "." && text != ".." && text.bytes().all(allowed)
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

impl Serialize for SpiffeId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

// === InstanceId ===

impl InstanceId {
    /// The instance of this text.
    ///
    /// # Errors
    /// [`IdentityError::InstanceId`].
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/');
        let valid = (1..=128).contains(&text.len()) && text.bytes().all(allowed);
        valid.then(|| Self(text.into())).ok_or_else(|| IdentityError::InstanceId(text.to_owned()))
    }

    /// The instance that is the pod of this UID: `pod/UID`, so that it cannot be taken for a machine's own.
    ///
    /// # Errors
    /// [`IdentityError::InstanceId`].
    pub fn of_pod(uid: &str) -> Result<Self, IdentityError> {
        Self::parse(&format!("{POD}{uid}"))
    }

    /// The instance that a machine says it is.
    ///
    /// # Errors
    /// [`IdentityError::InstanceId`]; [`IdentityError::PodInstance`] for what [`InstanceId::of_pod`] gives.
    pub fn of_machine(text: &str) -> Result<Self, IdentityError> {
        let id = Self::parse(text)?;
        if id.pod().is_some() { Err(IdentityError::PodInstance(text.to_owned())) } else { Ok(id) }
    }

    /// The UID of the pod that it is, if it is one.
    pub fn pod(&self) -> Option<&str> {
        self.0.strip_prefix(POD)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spiffe_ids_round_trip_and_others_are_refused() {
        let text = "spiffe://cluster.local/ns/shop/sa/reviews";
        let id: SpiffeId = text.parse().unwrap();
        assert_eq!((&*id.namespace, &*id.service_account, id.to_string().as_str()), ("shop", "reviews", text));
        let bad = [
            "",
            "spiffe://",
            "https://cluster.local/ns/a/sa/b",
            "spiffe://cluster.local/ns/a/sa/b/c",
            "spiffe://cluster.local/ns//sa/b",
            "spiffe://cluster.local/ns/../sa/b",
            "spiffe://cluster.local/ns/a/sa/b%2f",
            "spiffe://Cluster.local/ns/a/sa/b",
            "spiffe://cluster.local:80/ns/a/sa/b",
            "spiffe://cluster.local/ns/a/sa/b?x",
        ];
        for bad in bad {
            assert!(bad.parse::<SpiffeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn instances_and_trust_domains_have_an_alphabet() {
        assert!(InstanceId::parse("6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b").is_ok());
        assert!(InstanceId::parse("").is_err() && InstanceId::parse("a b").is_err());
        assert!(InstanceId::parse(&"a".repeat(129)).is_err());
        let pod = InstanceId::of_pod("6f0c9b1e").unwrap();
        assert_eq!(pod.pod(), Some("6f0c9b1e"));
        assert_eq!(InstanceId::of_machine(pod.as_str()), Err(IdentityError::PodInstance("pod/6f0c9b1e".into())));
        assert_eq!(InstanceId::of_machine("6f0c9b1e").unwrap().pod(), None);
        assert!(TrustDomain::parse("prod.example.com").is_ok() && TrustDomain::parse("Prod").is_err());
    }
}
