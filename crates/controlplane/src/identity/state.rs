//! Who signs, who is to, and which roots the mesh trusts since when: what the store keeps of it.

use super::{
    IdentityError, ProvidedFiles,
    roots::{Keeping, KeptRoots},
};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use tombolo_ca::{Chain, certificates};

/// The name of this in the store.
pub(super) const NAME: &str = "ca-signing.json";
/// Roots of former signers that are trusted still: more than leave in the time of an overlap.
const MOST_FORMER: usize = 32;

/// For so long after one process issues certificates of another lifetime, others may issue those of before: they are started again too.
const REPLICAS: Duration = Duration::from_secs(3600);

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum By {
    /// A root of the mesh's own.
    Own,
    /// An intermediate, by these files.
    Provided(ProvidedFiles),
}

/// Who signs, who is to, and whom the mesh trusts. Times are in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State {
    pub(super) signs: By,
    /// Announced, and trusted.
    pub(super) next: Option<By>,
    /// Those of who signs, of who is to, and of who did.
    roots: Vec<Trusted>,
    /// How long certificates live that are issued now, in seconds.
    lifetime: u64,
    /// Of former times, the one that matters longest.
    longer: Option<Lifetime>,
}

/// How long certificates live that were issued in former times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lifetime {
    seconds: u64,
    /// When the last of them may have been issued.
    until: u64,
}

/// A root that the mesh trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trusted {
    /// PEM.
    root: String,
    /// Since when it is. Whoever got a certificate before may not know it.
    since: u64,
    /// Since when it is none of who signs, where it was: certificates under it count still.
    left: Option<u64>,
}

impl By {
    /// What is to sign where these files are provided, or none are.
    pub(super) fn wanted(provided: Option<&ProvidedFiles>) -> Self {
        provided.cloned().map_or(Self::Own, Self::Provided)
    }

    /// Its roots in PEM, whether it can sign or not.
    fn roots(&self, own: Option<&KeptRoots>) -> Vec<String> {
        let ders = match self {
            Self::Own => own.and_then(|own| own.issuing().ok()).map(|own| own.roots().to_vec()),
            Self::Provided(files) => files.as_certs().root.and_then(|root| certificates(root).ok()),
        };
        Chain::new(ders.unwrap_or_default()).pems().to_vec()
    }
}

impl State {
    /// Of a mesh that begins: whoever joins it knows what it trusts.
    pub(super) fn begun(signs: By, own: Option<&KeptRoots>) -> Self {
        let roots = signs.roots(own).into_iter().map(|root| Trusted { root, since: 0, left: None }).collect();
        Self { signs, next: None, roots, lifetime: 0, longer: None }
    }

    /// The same where certificates live as long as this from now on.
    pub(super) fn living(mut self, lifetime: Duration, now: SystemTime) -> Self {
        let before = std::mem::replace(&mut self.lifetime, lifetime.as_secs());
        if before > self.lifetime {
            let seconds = self.longer(now).max(before);
            self.longer = Some(Lifetime { seconds, until: unix(now + REPLICAS) });
        }
        self
    }

    /// How long a certificate may live that counts now, whenever it was issued.
    pub(super) fn longest(&self, now: SystemTime) -> Duration {
        Duration::from_secs(self.lifetime.max(self.longer(now)))
    }

    /// Of certificates of former times, as long as there may be some.
    fn longer(&self, now: SystemTime) -> u64 {
        let lives = |longer: &&Lifetime| unix(now) < longer.until.saturating_add(longer.seconds);
        self.longer.as_ref().filter(lives).map_or(0, |longer| longer.seconds)
    }

    pub(super) fn read(keeping: &Keeping) -> Result<Option<Self>, IdentityError> {
        let Some(bytes) = keeping.store.read(NAME)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(IdentityError::Signing)
    }

    pub(super) fn write(&self, keeping: &Keeping) -> Result<(), IdentityError> {
        let text = serde_json::to_vec_pretty(self).map_err(IdentityError::Signing)?;
        Ok(keeping.store.write(NAME, &text)?)
    }

    /// The state in which this one signs and that one is to. The roots of who signed until now are trusted still. Those that were
    /// merely announced are not: nobody has a certificate under them.
    pub(super) fn then(&self, signs: By, next: Option<By>, own: Option<&KeptRoots>, now: SystemTime) -> Self {
        let now = unix(now);
        let (signed, signing) = (self.signs.roots(own), signs.roots(own));
        let announced = next.as_ref().map(|next| next.roots(own)).unwrap_or_default();
        let mut roots = self.roots.clone();
        for root in signed.iter().chain(&signing).chain(&announced) {
            if !roots.iter().any(|trusted| trusted.root == *root) {
                roots.push(Trusted { root: root.clone(), since: now, left: None });
            }
        }
        for trusted in &mut roots {
            if signing.contains(&trusted.root) {
                trusted.left = None;
            } else if signed.contains(&trusted.root) {
                trusted.left = Some(now);
            }
        }
        roots.retain(|trusted| {
            trusted.left.is_some() || signing.contains(&trusted.root) || announced.contains(&trusted.root)
        });
        let mut state = Self { signs, next, roots, ..self.clone() };
        state.bound_former();
        state
    }

    /// The state in which roots count no more that left so long ago, unless they come again.
    pub(super) fn without_former(&self, overlap: Duration, own: Option<&KeptRoots>, now: SystemTime) -> Self {
        let announced = self.next.as_ref().map(|next| next.roots(own)).unwrap_or_default();
        let is_over = |trusted: &Trusted| trusted.left.is_some_and(|left| is_past(left, overlap, now));
        let mut roots = self.roots.clone();
        roots.retain(|trusted| !is_over(trusted) || announced.contains(&trusted.root));
        for trusted in roots.iter_mut().filter(|trusted| is_over(trusted)) {
            trusted.left = None;
        }
        Self { roots, ..self.clone() }
    }

    /// Every root that is trusted.
    pub(super) fn trusted(&self) -> Vec<CertificateDer<'static>> {
        ders(self.roots.iter())
    }

    /// The roots that everybody knows who renewed in the time of an announcement.
    pub(super) fn known(&self, announce: Duration, now: SystemTime) -> Vec<CertificateDer<'static>> {
        ders(self.roots.iter().filter(|trusted| is_past(trusted.since, announce, now)))
    }

    /// Those that left first go first.
    fn bound_former(&mut self) {
        let mut left: Vec<u64> = self.roots.iter().filter_map(|trusted| trusted.left).collect();
        left.sort_unstable();
        for first in left.iter().take(left.len().saturating_sub(MOST_FORMER)) {
            if let Some(at) = self.roots.iter().position(|trusted| trusted.left == Some(*first)) {
                self.roots.remove(at);
            }
        }
    }
}

fn ders<'t>(roots: impl Iterator<Item = &'t Trusted>) -> Vec<CertificateDer<'static>> {
    roots.flat_map(|trusted| certificates(trusted.root.as_bytes()).unwrap_or_default()).collect()
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn is_past(since: u64, duration: Duration, now: SystemTime) -> bool {
    unix(now).saturating_sub(since) >= duration.as_secs()
}
