//! What the MeshInstallation says of identity, followed while the control plane runs: what became of it is said as conditions.

use super::{
    IdentityError, ProvidedFiles,
    signing::{Signing, Standing},
    state::By,
};
use crate::{ControlPlane, Finding, World};
use std::sync::Arc;
use tombolo_api::{
    ObjectKey,
    mesh::{CERTIFICATE_AUTHORITY_READY as SIGNER, TRUST_DOMAIN_IN_EFFECT as DOMAIN},
};
use tombolo_core::{FieldPath, Problem, TrustDomain};
use tombolo_translate::status::Condition;

/// Who finds it.
const BY: &str = "identity";
/// What to do about files that are of no use.
const MEND: &str = "mend the Secret: it is read again when it changes";

/// Says what became of what was asked for.
pub(super) struct Follower {
    pub(super) domain: TrustDomain,
    /// What was last asked for, and how that stood.
    pub(super) said: Option<(Wanted, Standing)>,
}

/// What the MeshInstallation asks for.
#[derive(Clone, PartialEq, Eq)]
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
    /// Has done what is asked for, as far as it can be now, and says how that stands where it is something else than before.
    pub(super) async fn look(&mut self, plane: &ControlPlane, signing: &mut Signing) -> Result<(), IdentityError> {
        let wanted = plane.ask(Wanted::of).await.map_err(|_| IdentityError::Stopped)?;
        let standing = match &wanted {
            Some(wanted) => Some(signing.pursue(&By::wanted(wanted.provided.as_ref()))?),
            None => None,
        };
        let said = wanted.zip(standing);
        if said == self.said {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.said, said.clone());
        let key = said.as_ref().map(|(wanted, _)| &wanted.key);
        if let Some((before, _)) = before.filter(|(before, _)| key.is_none_or(|key| *key != before.key)) {
            plane.observe(BY, before.key, Vec::new()).await.map_err(|_| IdentityError::Stopped)?;
        }
        let Some((wanted, standing)) = said else { return Ok(()) };
        let findings = vec![wanted.signer(&standing), self.compare_domain(&wanted)];
        for problem in findings.iter().filter_map(|finding| finding.problem.as_ref()) {
            tracing::warn!("{problem}");
        }
        plane.observe(BY, wanted.key, findings).await.map_err(|_| IdentityError::Stopped)
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
    fn signer(&self, standing: &Standing) -> Finding {
        let what = match &self.provided {
            Some(_) => "the intermediate that was provided",
            None => "a root of the mesh's own",
        };
        match (standing, &self.provided) {
            (Standing::Signs, Some(_)) => self.yes(SIGNER, "Provided", format!("{what} signs")),
            (Standing::Signs, None) => self.yes(SIGNER, "SelfSigned", format!("{what} signs")),
            (Standing::Announced, _) => {
                let message = format!(
                    "{what} signs once certificates had a lifetime to learn of its root; what signed before signs on"
                );
                self.yes(SIGNER, "Announced", message)
            }
            (Standing::Waits, _) => {
                let message = format!("{what} is for the replica that writes to take up; what signed before signs on");
                self.yes(SIGNER, "Pending", message)
            }
            (Standing::Refused(error), _) => {
                let message = format!("{error}; what signed before signs on");
                self.not(SIGNER, "spec.ca.secretRef", "InvalidSecret", message, MEND)
            }
            (Standing::Over(error), _) => {
                let message = format!("{error}; until then there are no new certificates");
                self.not(SIGNER, "spec.ca.secretRef", "InvalidSecret", message, MEND)
            }
        }
    }

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
