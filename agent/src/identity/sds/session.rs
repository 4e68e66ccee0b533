//! One stream of SDS: what was asked for, what was sent, what is due. Pure.

use super::secrets::{Encoded, NAMES};
use std::collections::BTreeMap;
use tombolo_proto::envoy::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};

/// The most names in one request. Two are served.
const MOST_NAMES: usize = 64;
/// The longest part of a name, or of a rejection, that is logged.
const MOST_LOGGED: usize = 1024;

/// What a request says, of either protocol.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Which response it answers; empty for none.
    nonce: String,
    /// Why that response was rejected.
    error: Option<String>,
    /// Names asked for: from now on these alone (`whole`), or these too.
    names: Vec<String>,
    whole: bool,
    /// Names asked for no more.
    dropped: Vec<String>,
    /// Versions that the client has from an earlier stream.
    held: Vec<(String, String)>,
}

/// What is to be sent.
#[derive(Clone)]
pub(super) struct Reply {
    nonce: String,
    secrets: Vec<Encoded>,
}

/// What a request means beyond what is due after it; for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// Nobody has a secret of this name: it stays without an answer.
    Unknown(String),
    /// The client accepted what was last sent.
    Accepted,
    /// The client rejected what was last sent, and keeps what it had.
    Rejected(String),
}

/// A request that costs more than it may.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MOST_NAMES} names in one request: {names} are served", names = NAMES.join(" and "))]
pub(super) struct TooMany;

/// A client's subscriptions, and the versions that it was sent.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// By name; `None` where nothing was sent since it was asked for.
    wanted: BTreeMap<&'static str, Option<String>>,
    nonce: u64,
    /// What the last response held.
    last: Vec<&'static str>,
}

impl Session {
    /// Takes in a request.
    pub(super) fn ask(&mut self, asked: Asked) -> Result<Vec<Note>, TooMany> {
        let names = asked.names.len() + asked.dropped.len() + asked.held.len();
        if names > MOST_NAMES {
            return Err(TooMany);
        }
        let mut notes = Vec::new();
        if self.nonce > 0 && asked.nonce == self.nonce.to_string() {
            notes.push(asked.error.map_or(Note::Accepted, |error| Note::Rejected(shortened(error))));
        }
        if asked.whole {
            self.wanted.retain(|name, _| asked.names.iter().any(|asked| asked == name));
        }
        for name in &asked.dropped {
            self.wanted.remove(name.as_str());
        }
        for name in asked.names {
            match NAMES.into_iter().find(|known| *known == name) {
                // By difference, asking again is asking to be sent it again.
                Some(name) if asked.whole => drop(self.wanted.entry(name).or_default()),
                Some(name) => drop(self.wanted.insert(name, None)),
                None => notes.push(Note::Unknown(shortened(name))),
            }
        }
        for (name, version) in asked.held {
            if let Some(sent) = self.wanted.get_mut(name.as_str()) {
                *sent = Some(version);
            }
        }
        Ok(notes)
    }

    /// The names of what was last sent, which a [`Note`] of acceptance or rejection is about.
    pub(super) fn last(&self) -> &[&'static str] {
        &self.last
    }

    /// What the client wants and does not have. A version that it rejected is not sent again.
    pub(super) fn due(&mut self, secrets: &[Encoded]) -> Option<Reply> {
        let secrets: Vec<Encoded> = secrets
            .iter()
            .filter(|secret| self.wanted.get(secret.name).is_some_and(|sent| sent.as_ref() != Some(&secret.version)))
            .cloned()
            .collect();
        if secrets.is_empty() {
            return None;
        }
        for secret in &secrets {
            self.wanted.insert(secret.name, Some(secret.version.clone()));
        }
        self.nonce += 1;
        self.last = secrets.iter().map(|secret| secret.name).collect();
        Some(Reply { nonce: self.nonce.to_string(), secrets })
    }
}

fn shortened(text: String) -> String {
    if text.len() <= MOST_LOGGED { text } else { text.chars().take(MOST_LOGGED / 4).collect() }
}

// === The two protocols ===

impl From<DiscoveryRequest> for Asked {
    fn from(request: DiscoveryRequest) -> Self {
        Self {
            nonce: request.response_nonce,
            error: request.error_detail.map(|status| status.message),
            names: request.resource_names,
            whole: true,
            ..Self::default()
        }
    }
}

impl From<DeltaDiscoveryRequest> for Asked {
    fn from(request: DeltaDiscoveryRequest) -> Self {
        Self {
            nonce: request.response_nonce,
            error: request.error_detail.map(|status| status.message),
            names: request.resource_names_subscribe,
            whole: false,
            dropped: request.resource_names_unsubscribe,
            held: request.initial_resource_versions.into_iter().collect(),
        }
    }
}

impl From<Reply> for DiscoveryResponse {
    /// Envoy has a stream for each secret, so one version stands for all that are in a response.
    fn from(reply: Reply) -> Self {
        let versions: Vec<&str> = reply.secrets.iter().map(|secret| secret.version.as_str()).collect();
        Self {
            version_info: versions.concat(),
            type_url: super::secrets::type_url(),
            nonce: reply.nonce,
            resources: reply.secrets.into_iter().map(|secret| secret.body).collect(),
            ..Self::default()
        }
    }
}

impl From<Reply> for DeltaDiscoveryResponse {
    fn from(reply: Reply) -> Self {
        let resource = |secret: Encoded| Resource {
            name: secret.name.to_owned(),
            version: secret.version,
            resource: Some(secret.body),
            ..Resource::default()
        };
        Self {
            type_url: super::secrets::type_url(),
            nonce: reply.nonce,
            resources: reply.secrets.into_iter().map(resource).collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
