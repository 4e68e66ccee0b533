//! A rotation is three steps, so that at every moment whoever verifies trusts whoever is verified:
//!
//! ```text
//!            announce                switch                      retire
//! settled ─────────────► announced ─────────────► overlapping ─────────────► settled
//!                        both trusted             both trusted
//!                        old one signs            new one signs
//! ```
//!
//! 1. *Announce*: the next root joins the bundle; the old one still signs. Whoever renews learns of the next one. This lasts as
//!    long as certificates do, so everybody who is connected has learned when it ends.
//! 2. *Switch*: the new root signs. The old one stays trusted, so certificates of before count until they end.
//! 3. *Retire*: the old root leaves the bundle, after the overlap.
//!
//! Chains carry a **cross certificate** meanwhile, which is the signing root's name and key, certified by the other root. A machine
//! that slept through the first step trusts the old root only; it accepts a server of the new one by way of the cross
//! certificate, renews, and learns. The other way round, agents that keep only the last root of a response (Istio's do) trust
//! the new root only after the switch; certificates of before lead there by the cross certificate of the first step.

use super::{Root, RootError, Roots, one};
use crate::moment;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// How long each step lasts, and when a rotation begins by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// Of new roots. Default ten years.
    pub lifetime: Duration,
    /// Between the announcement and the switch: at least the lifetime of certificates. Default 24 h.
    pub announce: Duration,
    /// Between the switch and the retirement. A machine that was away for longer must join again. Default 90 days.
    pub overlap: Duration,
    /// A rotation begins when less than this is left of the active root. Default two years, a fifth of its lifetime.
    pub renew_before: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for RotationPolicy {
    fn default() -> Self {
        Self { lifetime: 3650 * DAY, announce: DAY, overlap: 90 * DAY, renew_before: 730 * DAY }
    }
}

/// What a rotation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes the next root known.
    Announce,
    /// Signs with it.
    Switch,
    /// Forgets the old one.
    Retire,
}

/// Times are in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "name")]
pub(super) enum Phase {
    Settled,
    Announced { since: i64, next: Root, crosses: Crosses },
    Overlapping { since: i64, previous: Root, crosses: Crosses },
}

/// The two cross certificates of a rotation, PEM. Made at its beginning, while both keys are at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Crosses {
    new_by_old: String,
    old_by_new: String,
}

impl Roots {
    /// The step that is due, if one is.
    ///
    /// # Errors
    /// Where the active root cannot be read.
    pub fn due(&self, policy: &RotationPolicy, now: SystemTime) -> Result<Option<Step>, RootError> {
        let now = moment::unix(now);
        let left = moment::unix(self.active.expires()?) - now;
        let past = |since: i64, duration| now - since >= moment::seconds(duration);
        Ok(match &self.phase {
            Phase::Settled => (left < moment::seconds(policy.renew_before)).then_some(Step::Announce),
            // A root that is over signs nothing: waiting would help nobody.
            Phase::Announced { since, .. } => (past(*since, policy.announce) || left <= 0).then_some(Step::Switch),
            Phase::Overlapping { since, .. } => past(*since, policy.overlap).then_some(Step::Retire),
        })
    }

    /// Takes the step that is due: the roots to store, and to sign by once they are stored.
    ///
    /// # Errors
    /// Where a root cannot be read or made.
    pub fn advance(&self, policy: &RotationPolicy, now: SystemTime) -> Result<Option<Self>, RootError> {
        let Some(step) = self.due(policy, now)? else { return Ok(None) };
        let since = moment::unix(now);
        Ok(Some(match (step, self.phase.clone()) {
            (Step::Switch, Phase::Announced { next, crosses, .. }) => {
                let phase = Phase::Overlapping { since, previous: self.active.clone(), crosses };
                Self { trust_domain: self.trust_domain.clone(), active: next, phase }
            }
            (Step::Retire, Phase::Overlapping { .. }) => Self { phase: Phase::Settled, ..self.clone() },
            _ => self.rotate(policy, now)?,
        }))
    }

    /// Begins a rotation because somebody asked for it, whether it is due or not.
    ///
    /// # Errors
    /// [`RootError::UnderWay`] where one has begun.
    pub fn rotate(&self, policy: &RotationPolicy, now: SystemTime) -> Result<Self, RootError> {
        if self.phase != Phase::Settled {
            return Err(RootError::UnderWay);
        }
        let next = Root::create(&self.trust_domain, now, policy.lifetime)?;
        let new_by_old = next.signed_by(&self.active, &self.trust_domain)?;
        let old_by_new = self.active.signed_by(&next, &self.trust_domain)?;
        let crosses = Crosses { new_by_old, old_by_new };
        Ok(Self { phase: Phase::Announced { since: moment::unix(now), next, crosses }, ..self.clone() })
    }

    /// Every root that is kept.
    pub(super) fn all(&self) -> impl Iterator<Item = &Root> {
        let other = match &self.phase {
            Phase::Settled => None,
            Phase::Announced { next: other, .. } | Phase::Overlapping { previous: other, .. } => Some(other),
        };
        // The active one last, as agents expect it.
        other.into_iter().chain([&self.active])
    }

    /// The roots to trust, the active one last.
    pub(crate) fn trusted(&self) -> Result<Vec<CertificateDer<'static>>, RootError> {
        self.all().map(Root::certificate).collect()
    }

    /// What chains carry besides: the way from the active root to the other one.
    pub(crate) fn cross(&self) -> Result<Vec<CertificateDer<'static>>, RootError> {
        match &self.phase {
            Phase::Settled => Ok(Vec::new()),
            Phase::Announced { crosses, .. } => Ok(vec![one(&crosses.old_by_new)?]),
            Phase::Overlapping { crosses, .. } => Ok(vec![one(&crosses.new_by_old)?]),
        }
    }
}
