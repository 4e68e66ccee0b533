//! Who signs for the mesh, and how another takes over while everybody goes on: a root of the mesh's own, or an intermediate that
//! somebody provides.
//!
//! ```text
//!          announce              switch                  retire
//! A signs ─────────► A signs ───────────────► B signs ──────────► B signs
//!                    A and B trusted          A and B trusted
//! ```
//!
//! The steps are those of a rotation, and last as long: nobody is asked to trust what he has not heard of. Where all trust B already,
//! as somebody announced its root before, there is nothing to wait for. Each step is in the store before it counts. One process takes
//! the steps, the others follow.

use super::{
    IdentityError, ProvidedFiles,
    roots::{Keeping, KeptRoots},
};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tombolo_ca::{CaCertsError, Chain, Issuing, LocalSigner, certificates};

/// The name of this in the store. A mesh whose own root signs, and always did, needs none.
const NAME: &str = "ca-signing.json";
/// Former signers that are trusted still: more than change places in the time of an overlap.
const MOST_FORMER: usize = 16;

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum By {
    /// A root of the mesh's own.
    Own,
    /// An intermediate, by these files.
    Provided(ProvidedFiles),
}

/// Who signs, who is to, and who did. Times are in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    signs: By,
    /// Announced, and trusted.
    next: Option<Next>,
    /// Trusted still.
    former: Vec<Former>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Next {
    since: u64,
    by: By,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Former {
    since: u64,
    /// PEM.
    roots: String,
}

/// How it stands with who is to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It signs.
    Signs,
    /// It will, when all have had the time to learn of its root.
    Announced,
    /// It is for another process to take it up.
    Waits,
    /// It cannot be used.
    Refused(CaCertsError),
}

/// Keeps who signs.
pub(super) struct Signing {
    state: State,
    /// The mesh's own roots, if there are any. They are kept while others sign: they may have to again.
    own: Option<KeptRoots>,
    keeping: Keeping,
    signer: Arc<LocalSigner>,
    /// True while it does not sign as it should, after what was kept changed.
    stale: bool,
}

impl By {
    /// What is to sign where these files are provided, or none are.
    pub(super) fn wanted(provided: Option<&ProvidedFiles>) -> Self {
        provided.cloned().map_or(Self::Own, Self::Provided)
    }
}

impl State {
    fn begun(signs: By) -> Self {
        Self { signs, next: None, former: Vec::new() }
    }

    fn read(keeping: &Keeping) -> Result<Option<Self>, IdentityError> {
        let Some(bytes) = keeping.store.read(NAME)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(IdentityError::Signing)
    }

    fn write(&self, keeping: &Keeping) -> Result<(), IdentityError> {
        let text = serde_json::to_vec_pretty(self).map_err(IdentityError::Signing)?;
        Ok(keeping.store.write(NAME, &text)?)
    }
}

impl Signing {
    /// What the store says; where it says nothing, what is `wanted`, unless the mesh has a root of its own. `None` where there is
    /// nothing to sign with, and it is for somebody else to make it.
    pub(super) fn open(keeping: &Keeping, wanted: &By) -> Result<Option<Self>, IdentityError> {
        let (kept, mut own) = (State::read(keeping)?, KeptRoots::read(keeping)?);
        let mut state = match (&kept, &own) {
            (Some(kept), _) => kept.clone(),
            (None, Some(_)) => State::begun(By::Own),
            (None, None) => State::begun(wanted.clone()),
        };
        let now = keeping.clock.now();
        let outcome = by(&state.signs, own.as_ref(), now);
        if own.is_none() && (state.signs == By::Own || *wanted == By::Own && outcome.is_err()) {
            own = KeptRoots::open(keeping)?;
            if own.is_none() {
                return Ok(None);
            }
        }
        if let (By::Provided(_), Err(error)) = (&state.signs, outcome) {
            // What was kept is of no use any more: anything is better.
            by(wanted, own.as_ref(), now).map_err(|_| error)?;
            state.signs = wanted.clone();
        }
        let signer = Arc::new(LocalSigner::new(issuing(&state, own.as_ref(), now)?));
        if state != kept.unwrap_or(State::begun(By::Own)) && keeping.store.is_ours() {
            state.write(keeping)?;
        }
        Ok(Some(Self { state, own, keeping: keeping.clone(), signer, stale: false }))
    }

    pub(super) fn signer(&self) -> Arc<LocalSigner> {
        self.signer.clone()
    }

    /// Goes on with what somebody else kept. A store that lost it gets it back, from whoever may write.
    pub(super) fn follow(&mut self) -> Result<(), IdentityError> {
        match &mut self.own {
            Some(own) => self.stale |= own.follow()?,
            None => self.own = KeptRoots::read(&self.keeping)?,
        }
        match State::read(&self.keeping)? {
            Some(state) if state != self.state => (self.state, self.stale) = (state, true),
            Some(_) => {}
            None if self.state != State::begun(By::Own) && self.keeping.store.is_ours() => {
                self.state.write(&self.keeping)?;
            }
            None => {}
        }
        if self.stale {
            let now = self.keeping.clock.now();
            let issuing = issuing(&self.state, self.own.as_ref(), now)?;
            if let Err(error) = issuing.can_follow(&self.signer.current(), now) {
                tracing::error!("the mesh's root was replaced by one that workloads do not know: {error}");
            }
            self.signer.replace(issuing);
            self.stale = false;
        }
        Ok(())
    }

    /// Takes the steps that time makes due, if they are ours to take: those of the own root's rotation, and the end of former signers.
    pub(super) fn advance(&mut self) -> Result<(), IdentityError> {
        let mut advanced = false;
        if let (By::Own, Some(own)) = (&self.state.signs, &mut self.own) {
            while own.advance()? {
                advanced = true;
            }
        }
        if advanced {
            self.signer.replace(issuing(&self.state, self.own.as_ref(), self.keeping.clock.now())?);
        }
        let now = unix(self.keeping.clock.now());
        let overlap = self.keeping.policy.overlap;
        let is_over = |former: &Former| is_past(former.since, overlap, now);
        if self.keeping.store.is_ours() && self.state.former.iter().any(is_over) {
            let former = self.state.former.iter().filter(|former| !is_over(former)).cloned().collect();
            self.take(State { former, ..self.state.clone() })?;
        }
        Ok(())
    }

    /// Begins a rotation of the own root now.
    pub(super) fn rotate(&mut self) -> Result<(), IdentityError> {
        match (&self.state, &mut self.own) {
            (State { signs: By::Own, next: None, .. }, Some(own)) => own.rotate()?,
            _ => return Err(IdentityError::NotOurs),
        }
        self.signer.replace(issuing(&self.state, self.own.as_ref(), self.keeping.clock.now())?);
        Ok(())
    }

    /// Does what can be done now for this one to sign.
    pub(super) fn pursue(&mut self, wanted: &By) -> Result<Standing, IdentityError> {
        let now = self.keeping.clock.now();
        let is_ours = self.keeping.store.is_ours();
        if *wanted == self.state.signs {
            // What was to take over is not to any more. Nobody has a certificate of it.
            if is_ours && self.state.next.is_some() {
                self.take(State { next: None, ..self.state.clone() })?;
            }
            return Ok(Standing::Signs);
        }
        if is_ours && *wanted == By::Own && self.own.is_none() {
            self.own = KeptRoots::open(&self.keeping)?;
        }
        if *wanted == By::Own && self.own.is_none() {
            return Ok(Standing::Waits);
        }
        let issuing = match by(wanted, self.own.as_ref(), now) {
            Ok(issuing) => issuing,
            Err(IdentityError::Provided(error)) => return Ok(Standing::Refused(error)),
            Err(error) => return Err(error),
        };
        let announced = self.state.next.as_ref().is_some_and(|next| next.by == *wanted);
        if !is_ours {
            return Ok(if announced { Standing::Announced } else { Standing::Waits });
        }
        let since = self.announced_since(&issuing).unwrap_or(unix(now));
        if is_past(since, self.keeping.policy.announce, unix(now)) || self.may_switch(&issuing, now)? {
            self.take(self.switched(wanted, &issuing, now))?;
            return Ok(Standing::Signs);
        }
        if !announced {
            let next = Some(Next { since, by: wanted.clone() });
            self.take(State { next, ..self.state.clone() })?;
        }
        Ok(Standing::Announced)
    }

    /// Since when the roots of one that is to sign are announced, if they are.
    fn announced_since(&self, issuing: &Issuing) -> Option<u64> {
        let next = self.state.next.as_ref()?;
        let announced = roots(&next.by, self.own.as_ref());
        issuing.roots().iter().all(|root| announced.contains(root)).then_some(next.since)
    }

    /// Whether there is nothing to wait for: all trust it already, or nobody trusts what signs now.
    fn may_switch(&self, next: &Issuing, now: SystemTime) -> Result<bool, IdentityError> {
        // What is merely announced, not all know of.
        let known = State { next: None, ..self.state.clone() };
        let Ok(known) = issuing(&known, self.own.as_ref(), now) else { return Ok(true) };
        Ok(next.is_accepted_beside(&known, now) || !known.is_accepted_beside(&known, now))
    }

    /// The state in which another signs. Who signed is trusted still, unless the other one's roots have its certificates count anyway.
    fn switched(&self, signs: &By, next: &Issuing, now: SystemTime) -> State {
        let mut former = self.state.former.clone();
        let counts = by(&self.state.signs, self.own.as_ref(), now).is_ok_and(|old| old.is_accepted_beside(next, now));
        if !counts {
            let roots = Chain::new(roots(&self.state.signs, self.own.as_ref())).pems().concat();
            former.retain(|former| former.roots != roots);
            former.push(Former { since: unix(now), roots });
            former.drain(..former.len().saturating_sub(MOST_FORMER));
        }
        State { signs: signs.clone(), next: None, former }
    }

    fn take(&mut self, state: State) -> Result<(), IdentityError> {
        // Nothing is kept that cannot sign.
        let issuing = issuing(&state, self.own.as_ref(), self.keeping.clock.now())?;
        state.write(&self.keeping)?;
        self.signer.replace(issuing);
        self.state = state;
        Ok(())
    }
}

/// What signs, in a mesh that trusts besides whoever is to and whoever did.
fn issuing(state: &State, own: Option<&KeptRoots>, now: SystemTime) -> Result<Issuing, IdentityError> {
    let former = state.former.iter().flat_map(|former| certificates(former.roots.as_bytes()).unwrap_or_default());
    let next = state.next.iter().flat_map(|next| roots(&next.by, own));
    let others: Vec<_> = former.chain(next).collect();
    by(&state.signs, own, now)?.beside(&others).map_err(IdentityError::Roots)
}

/// What signs, by itself.
fn by(signs: &By, own: Option<&KeptRoots>, now: SystemTime) -> Result<Issuing, IdentityError> {
    match signs {
        By::Own => own.ok_or(IdentityError::Follower)?.issuing(),
        By::Provided(files) => Ok(Issuing::provided(&files.as_certs(), now)?),
    }
}

/// Its roots, whether it can sign or not.
fn roots(signs: &By, own: Option<&KeptRoots>) -> Vec<CertificateDer<'static>> {
    match signs {
        By::Own => own.and_then(|own| own.issuing().ok()).map(|own| own.roots().to_vec()).unwrap_or_default(),
        By::Provided(files) => files.as_certs().root.and_then(|root| certificates(root).ok()).unwrap_or_default(),
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn is_past(since: u64, duration: Duration, now: u64) -> bool {
    now.saturating_sub(since) >= duration.as_secs()
}

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
