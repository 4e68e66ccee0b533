//! Who gets a certificate: proof, existence, request, signature, in that order, and the cheap before the dear.

use crate::{
    Caller, Csr, Existence, Exists, IssueRequest, Issued, Proof, Proven, Refusal, Signer, Subject, Telemetry,
    TrustBundle, TrustedIssuer, chain::to_pem, token,
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tombolo_core::{InstanceId, TrustDomain};
use tombolo_proto::{
    agent::{CertificateRequest, CertificateResponse},
    envoy::google::protobuf::{Struct, value::Kind},
};

/// Metadata of a request, ours: the machine's id, where its token is not bound to a pod.
pub const INSTANCE_ID: &str = "InstanceId";
/// Metadata of a request, Istio's: somebody to act for. Refused.
const IMPERSONATED_IDENTITY: &str = "ImpersonatedIdentity";

/// What is issued, and to whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Identities of this trust domain only.
    pub trust_domain: TrustDomain,
    /// Of certificates whose request asks for none. Default 24 h.
    pub default_lifetime: Duration,
    /// Requests for more get this. Default 24 h.
    pub max_lifetime: Duration,
    /// By how much certificates begin in the past, for peers whose clock is behind. Default 2 minutes.
    pub backdate: Duration,
    /// For how long after its end a certificate still proves who asks, for renewal only. Default 7 days.
    pub rejoin_window: Duration,
}

impl Settings {
    /// The defaults.
    pub fn new(trust_domain: TrustDomain) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let backdate = Duration::from_secs(120);
        Self { trust_domain, default_lifetime: DAY, max_lifetime: DAY, backdate, rejoin_window: 7 * DAY }
    }
}

/// The ports of an [`Authority`].
pub struct Ports {
    /// Whose tokens count; none where only certificates do.
    pub tokens: Vec<TrustedIssuer>,
    /// Who still is.
    pub exists: Arc<dyn Exists>,
    /// Who signs.
    pub signer: Arc<dyn Signer>,
}

/// Issues certificates, and tells who is connected.
pub struct Authority {
    settings: Settings,
    ports: Ports,
    telemetry: Arc<Telemetry>,
}

impl Authority {
    /// Issues by `settings` through `ports`.
    pub fn new(settings: Settings, ports: Ports) -> Self {
        Self { settings, ports, telemetry: Arc::default() }
    }

    /// By what it issues.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who signs.
    pub fn signer(&self) -> &Arc<dyn Signer> {
        &self.ports.signer
    }

    /// The roots that peers are to trust now, the active one last.
    pub fn bundle(&self) -> Arc<TrustBundle> {
        self.ports.signer.trust()
    }

    /// What it counts.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// Issues a certificate to whoever `proof` proves that it is. Its names come from there; of the request only the public key
    /// counts, and a lifetime up to [`Settings::max_lifetime`]. Audited and counted, also where it is refused.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn issue(
        &self,
        proof: Proof<'_>,
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<CertificateResponse, Refusal> {
        match self.try_issue(proof, request, now).await {
            Ok((caller, csr, issued)) => {
                self.telemetry.issued(&caller, &csr, &issued, proof.peer);
                Ok(response(&issued))
            }
            Err((caller, refusal)) => {
                self.telemetry.refused("certificate", caller.as_ref(), &refusal, proof.peer);
                Err(refusal)
            }
        }
    }

    /// Who opens a stream. Stricter than [`issue`](Self::issue): an expired certificate proves nothing here. Counted and audited
    /// where it is refused.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn authenticate(&self, proof: Proof<'_>, now: SystemTime) -> Result<Caller, Refusal> {
        let outcome = match self.prove(proof, Duration::ZERO, now).await {
            Ok(caller) => {
                self.is_there(&caller).await.map(|()| caller.clone()).map_err(|refusal| (Some(caller), refusal))
            }
            Err(refusal) => Err((None, refusal)),
        };
        outcome.map_err(|(caller, refusal)| {
            self.telemetry.refused("stream", caller.as_ref(), &refusal, proof.peer);
            refusal
        })
    }

    async fn try_issue(
        &self,
        proof: Proof<'_>,
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<(Caller, Csr, Issued), (Option<Caller>, Refusal)> {
        let mut caller =
            self.prove(proof, self.settings.rejoin_window, now).await.map_err(|refusal| (None, refusal))?;
        match self.sign(&mut caller, request, now).await {
            Ok((csr, issued)) => Ok((caller, csr, issued)),
            Err(refusal) => Err((Some(caller), refusal)),
        }
    }

    async fn sign(
        &self,
        caller: &mut Caller,
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<(Csr, Issued), Refusal> {
        if let Some(other) = text(request.metadata.as_ref(), IMPERSONATED_IDENTITY) {
            return Err(Refusal::Impersonation(other.chars().take(300).collect()));
        }
        if let (None, Some(id)) = (&caller.instance, text(request.metadata.as_ref(), INSTANCE_ID)) {
            caller.instance = Some(InstanceId::of_machine(id)?);
        }
        self.is_there(caller).await?;
        let csr = Csr::parse(&request.csr)?;
        if !csr.uris().is_empty() {
            own_name_only(&csr, caller)?;
        }
        let subject = Subject::Workload { id: caller.id.clone(), instance: caller.instance.clone() };
        let (not_before, not_after) = (now - self.settings.backdate, now + self.lifetime(request.validity_duration));
        let request = IssueRequest { csr: &csr, subject, not_before, not_after };
        let issued = self.ports.signer.sign(&request).await?;
        Ok((csr, issued))
    }

    fn lifetime(&self, seconds: i64) -> Duration {
        let asked = u64::try_from(seconds).unwrap_or(0);
        let lifetime = if asked == 0 { self.settings.default_lifetime } else { Duration::from_secs(asked) };
        lifetime.min(self.settings.max_lifetime)
    }

    /// By certificate where there is one, as renewals do; a certificate that proves nothing any more leaves the word to the token.
    async fn prove(&self, proof: Proof<'_>, rejoin: Duration, now: SystemTime) -> Result<Caller, Refusal> {
        let by_certificate = (!proof.chain.is_empty()).then(|| self.by_certificate(proof, rejoin, now));
        match (by_certificate, proof.token) {
            (Some(Ok(caller)), _) => Ok(caller),
            (_, Some(token)) => token::verify(&self.ports.tokens, token, now).await,
            (Some(Err(refusal)), None) => Err(refusal),
            (None, None) => Err(Refusal::NoProof),
        }
    }

    fn by_certificate(&self, proof: Proof<'_>, rejoin: Duration, now: SystemTime) -> Result<Caller, Refusal> {
        let certificate = self.ports.signer.trust().recognize(proof.chain, now, rejoin)?;
        let expires = certificate.expires();
        if certificate.id.trust_domain != self.settings.trust_domain {
            return Err(Refusal::OtherTrustDomain {
                found: certificate.id,
                expected: self.settings.trust_domain.clone(),
            });
        }
        let proven = Proven::Certificate { serial: certificate.serial };
        Ok(Caller { id: certificate.id, instance: certificate.instance, proven, expires })
    }

    async fn is_there(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.ports.exists.exists(caller).await? {
            Existence::Exists => Ok(()),
            Existence::Gone(what) => Err(Refusal::Gone(what)),
            Existence::Revoked(by) => Err(Refusal::Revoked(by)),
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A request may name who asks, as Istio's agents do. Anything else is a mistake or an attempt, and not passed over.
fn own_name_only(csr: &Csr, caller: &Caller) -> Result<(), Refusal> {
    let own = caller.id.to_string();
    match csr.uris().iter().find(|uri| **uri != own) {
        None => Ok(()),
        Some(other) => {
            let requested = other.chars().take(300).collect();
            Err(Refusal::OtherName { requested, caller: caller.id.clone() })
        }
    }
}

/// A text of a request's metadata; none where it is empty.
fn text<'a>(metadata: Option<&'a Struct>, key: &str) -> Option<&'a str> {
    match metadata?.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Leaf first, then what leads to the roots, then the roots, the active one last: Istio's agents take the last one for the root.
fn response(issued: &Issued) -> CertificateResponse {
    let (between, roots) = (issued.chain.pems(), issued.trust.roots().pems());
    let mut cert_chain = Vec::with_capacity(1 + between.len() + roots.len());
    cert_chain.push(to_pem(&issued.leaf));
    cert_chain.extend_from_slice(between);
    cert_chain.extend_from_slice(roots);
    CertificateResponse { cert_chain }
}
