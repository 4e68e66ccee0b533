//! What agents of this run prove themselves by: tokens of an issuer of our own, and the mesh's roots.

use super::records::ProxyName;
use anyhow::Context;
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};
use tombolo_api::{Kind, ObjectKey};
use tombolo_ca::{KeyRing, LocalIssuer, ObjectUid, TokenRules, TokenSpec, TokenVerifier, stable_uid};
use tombolo_controlplane::{FileStore, Identity, Store, directory_uid};
use tombolo_core::{ProxyKind, SourceId, TrustDomain};

/// Only the first certificate needs a token; later ones are got by the one before.
const LIFETIME: Duration = Duration::from_secs(3600);
/// What tokens are for, as Istio's agents have it.
const AUDIENCE: &str = "istio-ca";
/// Who signs tokens, in their `iss`.
pub(crate) const ISSUER: &str = "https://tombolo.local";
const ISSUER_KEY: &str = "token-issuer.json";
const JWKS: &str = "jwks.json";

/// The issuer that was made here once, as another one's tokens would not count.
pub(crate) fn issuer(store: &FileStore) -> anyhow::Result<LocalIssuer> {
    if let Some(bytes) = store.read(ISSUER_KEY)? {
        return LocalIssuer::from_json(&bytes)
            .with_context(|| format!("cannot use {ISSUER_KEY} of the state directory"));
    }
    let issuer = LocalIssuer::create(ISSUER)?;
    store.write(ISSUER_KEY, &issuer.to_json()?)?;
    Ok(issuer)
}

/// What checks the issuer's tokens. Its keys are written where others can read them too.
pub(crate) fn verifier(issuer: &LocalIssuer, domain: &TrustDomain, store: &FileStore) -> anyhow::Result<TokenVerifier> {
    store.write(JWKS, &issuer.jwks_document()?)?;
    let rules = TokenRules::new(domain.clone(), issuer.issuer());
    Ok(TokenVerifier::new(rules, KeyRing::new(issuer.jwks()?).into()))
}

/// Gives agents what they need to be let in.
#[derive(Debug)]
pub(crate) struct Credentials {
    issuer: LocalIssuer,
    identity: Identity,
    source: SourceId,
    trust_domain: TrustDomain,
    address: SocketAddr,
}

impl Credentials {
    /// The file of an agent's token, in its state directory.
    pub(crate) const TOKEN: &str = "token";
    /// The file of the mesh's roots, likewise.
    pub(crate) const ROOTS: &str = "root-cert.pem";

    /// By this issuer and identity service, for objects of one source; agents are served at `address`.
    pub(crate) fn new(
        issuer: LocalIssuer,
        identity: Identity,
        source: SourceId,
        trust_domain: TrustDomain,
        address: SocketAddr,
    ) -> Self {
        Self { issuer, identity, source, trust_domain, address }
    }

    /// Where agents are served.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whose identities are given.
    pub(crate) fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Writes a fresh token, and the roots, into an agent's state directory.
    pub(crate) fn give(&self, proxy: &ProxyName, service_account: &str, state: &FileStore) -> anyhow::Result<()> {
        let (source, name) = (self.source, proxy.name.clone());
        let kind = match proxy.kind {
            ProxyKind::Gateway => Kind::Gateway,
            ProxyKind::Sidecar => Kind::WorkloadEntry,
        };
        let uid = directory_uid(&ObjectKey { source, kind, name });
        let namespace = &*proxy.name.namespace;
        let spec = TokenSpec {
            namespace,
            service_account,
            uid: &stable_uid(&format!("ServiceAccount/{namespace}/{service_account}")),
            pod: Some(ObjectUid { name: proxy.name.name.to_string(), uid }),
            secret: None,
            audience: AUDIENCE,
            lifetime: LIFETIME,
        };
        let token = self.issuer.token(&spec, SystemTime::now())?;
        state.write(Self::TOKEN, token.as_bytes())?;
        state.write(Self::ROOTS, self.identity.bundle().as_bytes())?;
        Ok(())
    }
}
