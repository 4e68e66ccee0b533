//! Issuers of tokens elsewhere, such as a cluster's API server, whose keys are followed while we run.

use super::{
    credentials,
    keys::{KeySource, Reader},
};
use crate::args::TokenArgs;
use anyhow::ensure;
use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{self, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;
use tombolo_ca::{Jwks, KeyRing, TokenRules, TokenVerifier, TrustedIssuer};
use tombolo_core::{TrustDomain, with_causes};

/// How often a file is looked at. A token with a new key does not wait for that: it has the file read at once.
const LOOK: Duration = Duration::from_secs(2);
/// How often a URL is asked, so that keys which the issuer has withdrawn end here too.
const ASK: Duration = Duration::from_secs(300);

/// An issuer elsewhere.
#[derive(Debug)]
pub(crate) struct Issuer {
    name: String,
    audiences: Vec<String>,
    keys: Arc<KeyRing>,
    reader: Reader,
    _follower: AbortOnDropHandle<Infallible>,
}

impl Issuer {
    /// What checks its tokens; identities are of this trust domain.
    pub(crate) fn trusted(&self, domain: &TrustDomain) -> TrustedIssuer {
        let rules = TokenRules { audiences: self.audiences.clone(), ..TokenRules::new(domain.clone(), &self.name) };
        TrustedIssuer::new(TokenVerifier::new(rules, self.keys.clone()), Arc::new(self.reader.clone()))
    }
}

/// Reads the keys of those that the command line names. A file that cannot be read is a mistake; an issuer that is away now may
/// answer later, when there is a token to check.
pub(crate) async fn open(args: &TokenArgs) -> anyhow::Result<Vec<Issuer>> {
    check(args)?;
    let mut issuers = Vec::new();
    for (name, source) in args.issuers.iter().zip(&args.jwks) {
        let reader = Reader::new(source.clone())?;
        let document = match (reader.read().await, source) {
            (Ok(document), _) => document,
            (Err(error), KeySource::File(_)) => return Err(error.context("--token-jwks")),
            (Err(error), KeySource::Url(_)) => {
                tracing::warn!("{}; tokens of {name} count once they are there", with_causes(error.as_ref()));
                Vec::new()
            }
        };
        let keys = if document.is_empty() { Jwks::default() } else { reader.parse(&document)? };
        let keys = Arc::new(KeyRing::new(keys));
        let follower = AbortOnDropHandle::new(tokio::spawn(follow(reader.clone(), keys.clone(), document)));
        let (name, audiences) = (name.clone(), args.audiences.clone());
        issuers.push(Issuer { name, audiences, keys, reader, _follower: follower });
    }
    Ok(issuers)
}

fn check(args: &TokenArgs) -> anyhow::Result<()> {
    let (issuers, jwks) = (args.issuers.len(), args.jwks.len());
    ensure!(issuers == jwks, "{issuers} --token-issuer and {jwks} --token-jwks: give one of each for every issuer");
    let mut seen = BTreeSet::from([credentials::ISSUER]);
    for name in &args.issuers {
        ensure!(!name.is_empty(), "--token-issuer is empty: give the `iss` of its tokens");
        ensure!(*name != credentials::ISSUER, "--token-issuer {name} is the issuer of this program's own tokens");
        ensure!(seen.insert(name), "--token-issuer {name} is given twice: put all of its keys into one JWKS");
    }
    Ok(())
}

/// Puts the keys in place that are there, whenever they change. What cannot be read changes nothing, and is said once.
async fn follow(reader: Reader, ring: Arc<KeyRing>, mut last: Vec<u8>) -> Infallible {
    let every = match reader.source() {
        KeySource::File(_) => LOOK,
        KeySource::Url(_) => ASK,
    };
    let mut ticks = time::interval_at(time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = String::new();
    loop {
        ticks.tick().await;
        let read = match reader.read().await {
            Ok(document) if document == last => continue,
            Ok(document) => reader.parse(&document).map(|keys| (document, keys)),
            Err(error) => Err(error),
        };
        match read {
            Ok((document, keys)) => {
                tracing::info!("{}: {} keys", reader.source(), keys.len());
                ring.replace(keys);
                (last, said) = (document, String::new());
            }
            Err(error) => {
                let error = with_causes(error.as_ref());
                if error != said {
                    tracing::warn!("{error}; the keys read before stay in use");
                }
                said = error;
            }
        }
    }
}
