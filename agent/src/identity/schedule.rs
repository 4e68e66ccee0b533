//! When to renew, and when to shout. Pure: time is an argument.

use super::Material;
use std::time::{Duration, SystemTime};

/// Where in a certificate's life it is renewed, as a share; plus and minus [`JITTER`].
const HALF_LIFE: f64 = 0.5;
/// So that the workloads of a machine that started together do not renew together for ever.
const JITTER: f64 = 0.05;
/// From here on a certificate that cannot be renewed is a problem.
const WORRY: f64 = 0.75;

/// How it stands with this workload's identity: for readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// There is none yet.
    Missing {
        /// What is being done about it, or why it does not work.
        reason: String,
    },
    /// Nothing to say.
    Ok,
    /// It ends soon, and could not be renewed.
    Expiring {
        /// Why not.
        reason: String,
    },
    /// It has ended: peers refuse this workload.
    Expired {
        /// Why it could not be renewed.
        reason: String,
    },
}

impl Health {
    /// Why the workload is not ready; empty where it is.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Ok => Vec::new(),
            Self::Missing { reason } => vec![format!("no certificate yet: {reason}")],
            Self::Expiring { reason } => vec![format!("the certificate expires soon and cannot be renewed: {reason}")],
            Self::Expired { reason } => vec![format!("the certificate has expired and cannot be renewed: {reason}")],
        }
    }
}

/// A point of a certificate's life, from 0 at its beginning to 1 at its end.
fn point(material: &Material, share: f64) -> SystemTime {
    let since = material.since();
    let life = material.not_after().duration_since(since).unwrap_or_default();
    since + life.mul_f64(share)
}

/// How long until a certificate is to be renewed; zero where it is time. `dice` is from 0 to 1, thrown once a certificate.
pub(crate) fn until_renewal(material: &Material, dice: f64, now: SystemTime) -> Duration {
    let share = HALF_LIFE - JITTER + 2.0 * JITTER * dice;
    point(material, share).duration_since(now).unwrap_or_default()
}

/// How it stands, given why the last try to renew failed, if it did.
pub(crate) fn health(material: Option<&Material>, failure: Option<&str>, now: SystemTime) -> Health {
    let reason = || failure.unwrap_or("the control plane was not asked yet").to_owned();
    let Some(material) = material else { return Health::Missing { reason: reason() } };
    if material.is_expired_at(now) {
        return Health::Expired { reason: reason() };
    }
    match failure {
        Some(failure) if now >= point(material, WORRY) => Health::Expiring { reason: failure.to_owned() },
        _ => Health::Ok,
    }
}
