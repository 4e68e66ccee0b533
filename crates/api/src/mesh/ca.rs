//! Who signs the identities of workloads.

use super::{
    Period,
    schema::{MOST_SIGNER, SIGNER, SUBDOMAIN},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Who signs, for how long, and how a new root takes over. At most one signer is set; self-signed where none is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.selfSigned), has(self.secretRef), has(self.kubernetesSigner)].filter(s, s).size() <= 1",
    "message": "only one of selfSigned, secretRef and kubernetesSigner can be set",
}]))]
pub struct CertificateAuthority {
    /// A root of the operator's own, kept in a Secret.
    pub self_signed: Option<SelfSigned>,
    /// An intermediate that somebody else signed.
    pub secret_ref: Option<SecretReference>,
    /// A signer of Kubernetes' certificates API. Not supported yet: an installation that sets it is not made.
    pub kubernetes_signer: Option<KubernetesSigner>,
    /// How a new root takes over.
    pub root_rotation: RootRotation,
    /// How long a workload's certificate is valid; 24h where absent, from 5s to 90d. It is renewed at half of it.
    #[serde(rename = "workloadCertTTL")]
    pub workload_cert_ttl: Period,
}

impl Default for CertificateAuthority {
    fn default() -> Self {
        Self {
            self_signed: None,
            secret_ref: None,
            kubernetes_signer: None,
            root_rotation: RootRotation::default(),
            workload_cert_ttl: Period::from_secs(24 * 3600),
        }
    }
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each says what it is
pub enum Signer<'a> {
    SelfSigned,
    Secret(&'a SecretReference),
    Kubernetes(&'a KubernetesSigner),
}

impl CertificateAuthority {
    /// The one signer.
    pub fn signer(&self) -> Signer<'_> {
        match (&self.secret_ref, &self.kubernetes_signer) {
            (Some(secret), _) => Signer::Secret(secret),
            (None, Some(signer)) => Signer::Kubernetes(signer),
            (None, None) => Signer::SelfSigned,
        }
    }
}

/// A root of the operator's own; nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct SelfSigned {}

/// A Secret of the installation's namespace with the four files of Istio's `cacerts`: `ca-cert.pem`, `ca-key.pem`,
/// `cert-chain.pem` and `root-cert.pem`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: Arc<str>,
}

/// A signer of Kubernetes' certificates API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesSigner {
    /// `domain/path`, as in `clusterissuers.cert-manager.io/mesh`.
    #[schemars(length(min = 1, max = MOST_SIGNER), regex(pattern = SIGNER))]
    pub signer_name: Arc<str>,
}

/// How a new root takes over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RootRotation {
    /// How long the old root is trusted beside the new one, so that a machine that was away comes back; 90d where absent.
    pub overlap: Period,
}

impl Default for RootRotation {
    fn default() -> Self {
        Self { overlap: Period::from_secs(90 * 86_400) }
    }
}
