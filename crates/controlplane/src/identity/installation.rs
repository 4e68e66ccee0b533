//! What the MeshInstallation says of identity, followed while the control plane runs: what can take effect does, and what cannot is
//! said as a condition.

use super::{IdentityError, ProvidedFiles};
use crate::{ControlPlane, Finding, Store, World};
use std::{sync::Arc, time::SystemTime};
use tombolo_api::ObjectKey;
use tombolo_ca::{CaCertsError, Issuing, LocalSigner};
use tombolo_core::{FieldPath, Problem, TrustDomain};
use tombolo_translate::status::Condition;

/// Whether what is to sign does.
const SIGNER: &str = "CertificateAuthorityReady";
/// Whether identities are of the trust domain that is to be.
const DOMAIN: &str = "TrustDomainInEffect";

/// What is in effect, and what was last asked for.
pub(super) struct Follower {
    pub(super) signer: Arc<LocalSigner>,
    /// What it signs with, if that was provided.
    pub(super) provided: Option<ProvidedFiles>,
    pub(super) domain: TrustDomain,
    pub(super) store: Arc<dyn Store>,
    pub(super) seen: Option<Wanted>,
}

/// What the MeshInstallation asks for.
#[derive(Clone, PartialEq)]
pub(super) struct Wanted {
    key: ObjectKey,
    generation: i64,
    domain: Arc<str>,
    provided: Option<ProvidedFiles>,
}

impl Wanted {
    fn of(world: &World) -> Option<Self> {
        let (key, object) = (world.installation_key()?, world.installation()?);
        let (generation, domain) = (object.metadata.generation, object.mesh.trust_domain.clone());
        Some(Self { key, generation, domain, provided: ProvidedFiles::of(world) })
    }
}

impl Follower {
    /// Does what is asked for, where it is something else than before.
    pub(super) async fn look(&mut self, plane: &ControlPlane, now: SystemTime) -> Result<(), IdentityError> {
        let wanted = plane.ask(Wanted::of).await.map_err(|_| IdentityError::Stopped)?;
        if wanted == self.seen {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.seen, wanted.clone());
        if let Some(before) = before.filter(|before| wanted.as_ref().is_none_or(|wanted| wanted.key != before.key)) {
            plane.observe(before.key, Vec::new()).await.map_err(|_| IdentityError::Stopped)?;
        }
        let Some(wanted) = wanted else { return Ok(()) };
        let findings = vec![self.see_to_signer(&wanted, now), self.compare_domain(&wanted)];
        for problem in findings.iter().filter_map(|finding| finding.problem.as_ref()) {
            tracing::warn!("{problem}");
        }
        plane.observe(wanted.key, findings).await.map_err(|_| IdentityError::Stopped)
    }

    fn see_to_signer(&mut self, wanted: &Wanted, now: SystemTime) -> Finding {
        const RESTART: &str =
            "start the control plane again: workloads on other machines then join again, with a token";
        let no = |reason, message: String, fix| wanted.not(SIGNER, "spec.ca.secretRef", reason, message, fix);
        match (&wanted.provided, &self.provided) {
            (None, None) => wanted.yes(SIGNER, "SelfSigned", "a root of the mesh's own signs"),
            (None, Some(_)) => {
                let message = "the intermediate that was provided signs until the control plane is started again";
                no("RestartRequired", message.to_owned(), RESTART)
            }
            (Some(files), current) => match self.adopt(files, current.is_some(), now) {
                Ok(true) => wanted.yes(SIGNER, "Provided", "the intermediate that was provided signs"),
                Ok(false) => {
                    let message = "the mesh's own root signs until the control plane is started again";
                    no("RestartRequired", message.to_owned(), RESTART)
                }
                Err(error) => {
                    let message = format!("{error}; what signed before signs on");
                    no("InvalidSecret", message, "mend the Secret: it is read again when it changes")
                }
            },
        }
    }

    /// Signs with these from now on. False where they are good, but a root of the mesh's own cannot be left while everybody goes on.
    fn adopt(&mut self, files: &ProvidedFiles, was_provided: bool, now: SystemTime) -> Result<bool, IdentityError> {
        if self.provided.as_ref() == Some(files) {
            return Ok(true);
        }
        let next = Issuing::provided(&files.as_certs(), now)?;
        match next.can_follow(&self.signer.current(), now) {
            Err(CaCertsError::Unannounced | CaCertsError::Forgotten) if !was_provided => return Ok(false),
            outcome => outcome?,
        }
        files.remember(&*self.store)?;
        self.signer.replace(next);
        self.provided = Some(files.clone());
        Ok(true)
    }

    fn compare_domain(&self, wanted: &Wanted) -> Finding {
        let (current, other) = (&self.domain, &wanted.domain);
        if current.as_str() == &**other {
            return wanted.yes(DOMAIN, "InEffect", format!("identities are of {current}"));
        }
        let message =
            format!("identities are of {current}, and not of {other}, until the control plane is started again");
        let fix = format!(
            "start it again, with {current} among spec.mesh.trustDomainAliases until every workload has a new certificate"
        );
        wanted.not(DOMAIN, "spec.mesh.trustDomain", "RestartRequired", message, fix)
    }
}

impl Wanted {
    fn yes(&self, kind: &'static str, reason: &'static str, message: impl Into<String>) -> Finding {
        Finding { condition: Condition::yes(kind, reason, message, self.generation), problem: None }
    }

    fn not(
        &self,
        kind: &'static str,
        field: &str,
        reason: &'static str,
        message: String,
        fix: impl Into<String>,
    ) -> Finding {
        let fix = fix.into();
        let condition = Condition::no(kind, reason, format!("{message}; {fix}"), self.generation);
        let problem = Problem::error(self.key.reference(), FieldPath::from(field), reason, message).fix(fix);
        Finding { condition, problem: Some(problem) }
    }
}
