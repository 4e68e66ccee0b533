//! A mesh in a few lines: an issuer of tokens, a root, an authority, and the time, which stands still unless told.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tombolo_ca::{
    Answer, Authority, Caller, Existence, Exists, ExistsError, FetchKeys, Issuing, KeyRing, LocalIssuer, LocalSigner,
    ObjectUid, Ports, Proof, Refusal, Roots, Settings, Signer, TokenRules, TokenSpec, TokenVerifier, TrustedIssuer,
};
use tombolo_core::TrustDomain;
use tombolo_proto::{
    agent::{CertificateRequest, CertificateResponse},
    envoy::google::protobuf::{self, Struct},
};
use tonic::Code;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const ID: &str = "spiffe://cluster.local/ns/shop/sa/reviews";
pub(crate) const POD: &str = "6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b";
/// The instance that this pod is.
pub(crate) const INSTANCE: &str = "pod/6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b";

/// What exists, by hand.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) gone: Mutex<HashSet<String>>,
    pub(crate) revoked: Mutex<HashSet<String>>,
    pub(crate) unreachable: Mutex<bool>,
}

impl Exists for World {
    fn exists<'a>(&'a self, caller: &'a Caller) -> Answer<'a, Result<Existence, ExistsError>> {
        let instance = caller.instance.as_ref().map(tombolo_core::InstanceId::as_str).unwrap_or_default();
        let answer = if *self.unreachable.lock().unwrap() {
            Err(ExistsError("the API server is away".into()))
        } else if self.revoked.lock().unwrap().contains(instance) {
            Ok(Existence::Revoked("WorkloadEntry shop/vm-1".into()))
        } else if self.gone.lock().unwrap().contains(&*caller.id.service_account)
            || self.gone.lock().unwrap().contains(instance)
        {
            Ok(Existence::Gone("ServiceAccount shop/reviews".into()))
        } else {
            Ok(Existence::Exists)
        };
        Box::pin(std::future::ready(answer))
    }
}

pub(crate) struct Mesh {
    pub(crate) now: SystemTime,
    pub(crate) issuer: LocalIssuer,
    pub(crate) roots: Roots,
    pub(crate) signer: Arc<LocalSigner>,
    pub(crate) world: Arc<World>,
    pub(crate) authority: Arc<Authority>,
}

/// A moment that is not now: nothing may read the clock.
pub(crate) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

impl Mesh {
    pub(crate) fn new() -> Self {
        Self::at(start())
    }

    pub(crate) fn at(now: SystemTime) -> Self {
        let roots = Roots::create(&TrustDomain::default(), now, 3650 * DAY).unwrap();
        let signer = Arc::new(LocalSigner::new(Issuing::self_signed(&roots).unwrap()));
        Self::with(now, roots, signer)
    }

    pub(crate) fn with(now: SystemTime, roots: Roots, signer: Arc<LocalSigner>) -> Self {
        let issuer = LocalIssuer::create("https://issuer.test").unwrap();
        let world = Arc::new(World::default());
        let rules = TokenRules::new(TrustDomain::default(), "https://issuer.test");
        let keys = Arc::new(KeyRing::new(issuer.jwks().unwrap()));
        let ports = Ports {
            tokens: vec![TokenVerifier::new(rules, keys).into()],
            exists: world.clone(),
            signer: signer.clone(),
        };
        let authority = Arc::new(Authority::new(Settings::new(TrustDomain::default()), ports));
        Self { now, issuer, roots, signer, world, authority }
    }

    /// A token of a pod.
    pub(crate) fn token(&self) -> String {
        self.issuer.token(&spec(Some(POD)), self.now).unwrap()
    }

    /// A token with claims as they should be, but for what `change` does to them.
    pub(crate) fn forged(&self, change: impl FnOnce(&mut Value)) -> String {
        let now = self.now.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({
            "iss": "https://issuer.test", "aud": ["istio-ca"], "iat": now, "nbf": now, "exp": now + 3600,
            "sub": "system:serviceaccount:shop:reviews",
            "kubernetes.io": {
                "namespace": "shop", "serviceaccount": { "name": "reviews", "uid": "u" }, "pod": { "name": "reviews-1", "uid": POD },
            },
        });
        change(&mut claims);
        sign(&self.issuer, &claims)
    }

    pub(crate) async fn issue(
        &self,
        proof: Proof<'_>,
        request: &CertificateRequest,
    ) -> Result<CertificateResponse, Refusal> {
        self.authority.issue(proof, request, self.now).await
    }

    /// A certificate by token.
    pub(crate) async fn join(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let token = self.token();
        let response = self.issue(by_token(&token), &request(&key)).await.unwrap();
        Identity::new(key, &response)
    }

    pub(crate) async fn renew(&self, identity: &Identity) -> Result<Identity, Refusal> {
        let key = KeyPair::generate().unwrap();
        let response = self.issue(by_certificate(&identity.chain), &request(&key)).await?;
        Ok(Identity::new(key, &response))
    }

    /// Signs by other roots from now on.
    pub(crate) fn adopt(&mut self, roots: Roots) {
        self.signer.replace(Issuing::self_signed(&roots).unwrap());
        self.roots = roots;
    }
}

/// What an agent holds.
pub(crate) struct Identity {
    pub(crate) key: KeyPair,
    /// Leaf first, without the roots.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// What it trusts: every self-signed certificate at the response's end.
    pub(crate) roots: Vec<CertificateDer<'static>>,
}

impl Identity {
    pub(crate) fn new(key: KeyPair, response: &CertificateResponse) -> Self {
        let all: Vec<_> =
            response.cert_chain.iter().map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).collect();
        let (roots, chain): (Vec<_>, Vec<_>) = all.into_iter().partition(is_self_signed);
        Self { key, chain, roots }
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

pub(crate) fn is_self_signed(der: &CertificateDer<'_>) -> bool {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    certificate.subject() == certificate.issuer()
}

pub(crate) fn spec(pod: Option<&str>) -> TokenSpec<'_> {
    TokenSpec {
        namespace: "shop",
        service_account: "reviews",
        uid: "u",
        pod: pod.map(|uid| ObjectUid { name: "reviews-1".into(), uid: uid.into() }),
        secret: None,
        audience: "istio-ca",
        lifetime: HOUR,
    }
}

pub(crate) fn sign(issuer: &LocalIssuer, claims: &Value) -> String {
    let stored: Value = serde_json::from_slice(&issuer.to_json().unwrap()).unwrap();
    let document: Value = serde_json::from_slice(&issuer.jwks_document().unwrap()).unwrap();
    let key = KeyPair::from_pem(stored["key"].as_str().unwrap()).unwrap();
    let mut header = Header::new(Algorithm::ES256);
    header.kid = document["keys"][0]["kid"].as_str().map(str::to_owned);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(key.serialized_der())).unwrap()
}

pub(crate) fn by_token(token: &str) -> Proof<'_> {
    Proof { token: Some(token), ..Proof::default() }
}

pub(crate) fn by_certificate<'a>(chain: &'a [CertificateDer<'static>]) -> Proof<'a> {
    Proof { chain, ..Proof::default() }
}

pub(crate) fn csr(key: &KeyPair, uris: &[&str]) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.serialize_request(key).unwrap().pem().unwrap()
}

pub(crate) fn request(key: &KeyPair) -> CertificateRequest {
    CertificateRequest { csr: csr(key, &[]), ..CertificateRequest::default() }
}

impl Mesh {
    /// The word and code of the refusal, which must have been counted.
    pub(crate) async fn refusal(&self, proof: Proof<'_>, request: &CertificateRequest) -> (&'static str, Code) {
        let issued =
            self.authority.telemetry().issued_by("token") + self.authority.telemetry().issued_by("certificate");
        let refusal = self.issue(proof, request).await.unwrap_err();
        assert_eq!(self.authority.telemetry().refused_for(refusal.reason()), 1, "{refusal}");
        assert!(refusal.to_string().len() < 1000, "{refusal}");
        let after = self.authority.telemetry().issued_by("token") + self.authority.telemetry().issued_by("certificate");
        assert_eq!(issued, after);
        (refusal.reason(), refusal.code())
    }

    pub(crate) async fn refused_token(&self, token: &str) -> (&'static str, Code) {
        self.refusal(by_token(token), &request(&KeyPair::generate().unwrap())).await
    }

    pub(crate) async fn refused_chain(&self, chain: &[CertificateDer<'static>]) -> (&'static str, Code) {
        self.refusal(by_certificate(chain), &request(&KeyPair::generate().unwrap())).await
    }

    pub(crate) async fn refused_csr(&self, csr: &str) -> (&'static str, Code) {
        let token = self.token();
        self.refusal(by_token(&token), &CertificateRequest { csr: csr.to_owned(), ..CertificateRequest::default() })
            .await
    }

    pub(crate) async fn refused_metadata(&self, key: &str, value: &str) -> (&'static str, Code) {
        let value = protobuf::Value { kind: Some(protobuf::value::Kind::StringValue(value.into())) };
        let metadata = Some(Struct { fields: [(key.to_owned(), value)].into() });
        let token = self.issuer.token(&spec(None), self.now).unwrap();
        self.refusal(by_token(&token), &CertificateRequest { metadata, ..request(&KeyPair::generate().unwrap()) }).await
    }
}

impl Mesh {
    /// An authority with other ports.
    pub(crate) fn with_ports(&self, keys: Option<Arc<dyn FetchKeys>>, signer: Arc<dyn Signer>) -> Authority {
        let rules = TokenRules::new(TrustDomain::default(), "https://issuer.test");
        let ring = Arc::new(KeyRing::new(self.issuer.jwks().unwrap()));
        let verifier = TokenVerifier::new(rules, ring);
        let tokens = vec![match keys {
            Some(source) => TrustedIssuer::new(verifier, source),
            None => verifier.into(),
        }];
        self.build(tokens, signer)
    }

    /// An authority that takes these issuers' tokens.
    pub(crate) fn with_issuers(&self, tokens: Vec<TrustedIssuer>) -> Authority {
        self.build(tokens, self.signer.clone())
    }

    fn build(&self, tokens: Vec<TrustedIssuer>, signer: Arc<dyn Signer>) -> Authority {
        let ports = Ports { tokens, exists: self.world.clone(), signer };
        Authority::new(Settings::new(TrustDomain::default()), ports)
    }
}

pub(crate) const UNAUTHENTICATED: Code = Code::Unauthenticated;
pub(crate) const DENIED: Code = Code::PermissionDenied;
pub(crate) const INVALID: Code = Code::InvalidArgument;
pub(crate) const UNAVAILABLE: Code = Code::Unavailable;
