//! Who signs for the mesh, and how another takes over while everybody goes on: a root of the mesh's own, or an intermediate that
//! somebody provides.
//!
//! ```text
//!          announce              switch                  retire
//! A signs ─────────► A signs ───────────────► B signs ──────────► B signs
//!                    A and B trusted          A and B trusted
//! ```
//!
//! The steps are those of a rotation, and last as long: nobody is asked to trust what he has not heard of. A root is known once it was
//! trusted for the time of an announcement, whoever named it. Where B's is known already there is nothing to wait for. A root that
//! leaves is trusted for the overlap, whether its signer goes or drops it. Each step is in the store before it counts. One process
//! takes the steps, the others follow.

use super::{
    IdentityError,
    roots::{Keeping, KeptRoots},
    state::{By, State},
};
use std::{sync::Arc, time::SystemTime};
use tombolo_ca::{CaCertsError, Issuing, LocalSigner, RotationPolicy};

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
    /// It signed, and cannot any more.
    Over(CaCertsError),
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

impl Signing {
    /// What the store says; where it says nothing, what is `wanted`, unless the mesh has a root of its own. `None` where there is
    /// nothing to sign with, and it is for somebody else to begin: nobody signs with what is not in the store.
    pub(super) fn open(keeping: &Keeping, wanted: &By) -> Result<Option<Self>, IdentityError> {
        let (kept, mut own) = (State::read(keeping)?, KeptRoots::read(keeping)?);
        let now = keeping.clock.now();
        let begins = match (&kept, &own) {
            (None, None) => Some(wanted),
            // What was kept is of no use any more: anything is better.
            (Some(kept), _) if *wanted != kept.signs && counts(&kept.signs, own.as_ref(), now).is_err() => Some(wanted),
            _ => None,
        };
        if begins.is_some() && !keeping.store.is_ours() {
            return Ok(None);
        }
        if own.is_none() && begins == Some(&By::Own) {
            own = KeptRoots::open(keeping)?;
            if own.is_none() {
                return Ok(None);
            }
        }
        let state = match (&kept, begins) {
            (Some(kept), None) => kept.clone(),
            (None, None) => State::begun(By::Own, own.as_ref()),
            (_, Some(begins)) => {
                candidate(begins, own.as_ref(), now)?;
                let begun = || State::begun(begins.clone(), own.as_ref());
                kept.as_ref().map_or_else(begun, |kept| kept.then(begins.clone(), None, own.as_ref(), now))
            }
        };
        let state = if keeping.store.is_ours() { state.living(keeping.lifetime, now) } else { state };
        // A root of the mesh's own that is over is rotated.
        if state.signs != By::Own {
            counts(&state.signs, own.as_ref(), now)?;
        }
        let signer = Arc::new(LocalSigner::new(issuing(&state, own.as_ref(), now)?));
        // Who begins writes, whether he may still or not.
        if kept.as_ref() != Some(&state) && (begins.is_some() || keeping.store.is_ours()) {
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
            None if self.keeping.store.is_ours() => self.state.write(&self.keeping)?,
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

    /// Takes the steps that time makes due, if they are ours to take: those of the own root's rotation, and the end of former roots.
    pub(super) fn advance(&mut self) -> Result<(), IdentityError> {
        let rotated = self.advance_own();
        if self.keeping.store.is_ours() {
            let (now, own) = (self.keeping.clock.now(), self.own.as_ref());
            let state = self.then(self.state.signs.clone(), self.state.next.clone()).living(self.keeping.lifetime, now);
            self.take(state.without_former(self.policy().overlap, own, now))?;
        }
        rotated
    }

    fn advance_own(&mut self) -> Result<(), IdentityError> {
        let (mut advanced, policy) = (false, self.policy());
        if let (By::Own, Some(own)) = (&self.state.signs, &mut self.own) {
            while own.advance(&policy)? {
                advanced = true;
            }
        }
        if advanced || self.signer.current().is_over(self.keeping.clock.now()) { self.replace() } else { Ok(()) }
    }

    /// Begins a rotation of the own root now.
    pub(super) fn rotate(&mut self) -> Result<(), IdentityError> {
        match (&self.state, &mut self.own) {
            (State { signs: By::Own, next: None, .. }, Some(own)) => own.rotate()?,
            _ => return Err(IdentityError::NotOurs),
        }
        self.replace()
    }

    /// Does what can be done now for this one to sign.
    pub(super) fn pursue(&mut self, wanted: &By) -> Result<Standing, IdentityError> {
        let is_ours = self.keeping.store.is_ours();
        if *wanted == self.state.signs {
            // What was to take over is not to any more.
            if is_ours && self.state.next.is_some() {
                self.take(self.then(wanted.clone(), None))?;
            }
            return match (counts(wanted, self.own.as_ref(), self.keeping.clock.now()), wanted) {
                (Err(IdentityError::Provided(error)), By::Provided(_)) => Ok(Standing::Over(error)),
                _ => Ok(Standing::Signs),
            };
        }
        if is_ours && *wanted == By::Own && self.own.is_none() {
            self.own = KeptRoots::open(&self.keeping)?;
        }
        if *wanted == By::Own && self.own.is_none() {
            return Ok(Standing::Waits);
        }
        let issuing = match candidate(wanted, self.own.as_ref(), self.keeping.clock.now()) {
            Ok(issuing) => issuing,
            Err(IdentityError::Provided(error)) => return Ok(Standing::Refused(error)),
            Err(error) => return Err(error),
        };
        let announced = self.state.next.as_ref() == Some(wanted);
        if !is_ours {
            return Ok(if announced { Standing::Announced } else { Standing::Waits });
        }
        if self.may_switch(&issuing) {
            self.take(self.then(wanted.clone(), None))?;
            return Ok(Standing::Signs);
        }
        if !announced {
            self.take(self.then(self.state.signs.clone(), Some(wanted.clone())))?;
        }
        Ok(Standing::Announced)
    }

    /// Whether there is nothing to wait for: all know a root of it, or what signs now cannot any more.
    fn may_switch(&self, next: &Issuing) -> bool {
        let now = self.keeping.clock.now();
        let known = self.state.known(self.policy().announce, now);
        next.is_accepted_by(&known, now) || counts(&self.state.signs, self.own.as_ref(), now).is_err()
    }

    /// By which the steps are taken. None is shorter than a certificate that counts may live: its holder learns of roots when he renews.
    fn policy(&self) -> RotationPolicy {
        let policy = self.keeping.policy.clone();
        let longest = self.state.longest(self.keeping.clock.now()).max(self.keeping.lifetime);
        RotationPolicy { announce: policy.announce.max(longest), overlap: policy.overlap.max(longest), ..policy }
    }

    /// The state in which this one signs and that one is to.
    fn then(&self, signs: By, next: Option<By>) -> State {
        self.state.then(signs, next, self.own.as_ref(), self.keeping.clock.now())
    }

    fn take(&mut self, state: State) -> Result<(), IdentityError> {
        if state == self.state {
            return Ok(());
        }
        // Where who signs is over, its roots count still, and others come and go.
        let issuing = issuing(&state, self.own.as_ref(), self.keeping.clock.now())?;
        state.write(&self.keeping)?;
        self.signer.replace(issuing);
        self.state = state;
        Ok(())
    }

    /// Signs with what there is now.
    fn replace(&self) -> Result<(), IdentityError> {
        self.signer.replace(issuing(&self.state, self.own.as_ref(), self.keeping.clock.now())?);
        Ok(())
    }
}

/// What signs, in a mesh that trusts besides whoever is to and whoever did.
fn issuing(state: &State, own: Option<&KeptRoots>, now: SystemTime) -> Result<Issuing, IdentityError> {
    by(&state.signs, own, now)?.beside(&state.trusted()).map_err(IdentityError::Roots)
}

/// What signs by itself, whether it can or not.
fn by(signs: &By, own: Option<&KeptRoots>, now: SystemTime) -> Result<Issuing, IdentityError> {
    match signs {
        By::Own => own.ok_or(IdentityError::Follower)?.issuing(),
        By::Provided(files) => Ok(Issuing::kept(&files.as_certs(), now)?),
    }
}

/// Whether what signs can.
fn counts(signs: &By, own: Option<&KeptRoots>, now: SystemTime) -> Result<(), IdentityError> {
    match (by(signs, own, now)?.counts(now), signs) {
        // The same, with the file's name.
        (Err(error), By::Provided(files)) => {
            Err(Issuing::provided(&files.as_certs(), now).err().unwrap_or(error).into())
        }
        (outcome, _) => Ok(outcome?),
    }
}

/// What is to sign. It has to be without fault.
fn candidate(wanted: &By, own: Option<&KeptRoots>, now: SystemTime) -> Result<Issuing, IdentityError> {
    match wanted {
        By::Own => by(wanted, own, now),
        By::Provided(files) => Ok(Issuing::provided(&files.as_certs(), now)?),
    }
}

#[cfg(test)]
#[path = "signing_laws.rs"]
mod laws;
#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
