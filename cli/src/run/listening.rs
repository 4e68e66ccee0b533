//! Where a proxy is reached, for people.

use super::envoy::Envoy;
use crate::terminal::{self, Style, paint};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};
use tokio::{sync::watch, time};

/// How often to look whether something has come to pass.
const POLL: Duration = Duration::from_millis(50);
/// How long listeners may take to come up before that is worth a word.
const UP: Duration = Duration::from_secs(10);

/// A listener, as it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Its name, for a workload what it is for.
    pub(crate) listener: String,
    /// The port that the manifest names.
    pub(crate) asked: u16,
    /// Where it is bound.
    pub(crate) bound: SocketAddr,
    /// `http`, `https`, or `mesh` for what the mesh's mutual TLS is spoken to.
    pub(crate) scheme: &'static str,
    /// The host that it is for; any where absent.
    pub(crate) host: Option<String>,
}

impl Listening {
    fn url(&self) -> String {
        let (address, port) = (self.bound.ip(), self.bound.port());
        match (self.scheme, port) {
            ("http", 80) | ("https", 443) => format!("{}://{address}", self.scheme),
            ("mesh", _) => self.bound.to_string(),
            _ => format!("{}://{}", self.scheme, self.bound),
        }
    }

    fn note(&self) -> String {
        let mut note = match self.scheme {
            "mesh" => format!("  {}", self.listener),
            _ => format!("  listener {}", self.listener),
        };
        if let Some(host) = &self.host {
            note.push_str(&format!(", host {host}"));
        }
        if self.bound.port() != self.asked {
            note.push_str(&format!(", port {} in the manifest: low ports are for root", self.asked));
        }
        note
    }
}

/// Prints where a proxy is reached, once it is, and again whenever that changes.
pub(crate) async fn announce(proxy: String, envoy: Envoy, mut listeners: watch::Receiver<Vec<Listening>>) {
    let mut said = Vec::new();
    loop {
        let now = listeners.borrow_and_update().clone();
        let new: Vec<_> = now.iter().filter(|listening| !said.contains(*listening)).cloned().collect();
        let waiting: BTreeSet<String> = new.iter().map(|listening| listening.bound.to_string()).collect();
        let up = time::timeout(UP, until_up(&envoy, &waiting)).await.is_ok();
        for listening in &new {
            let at = paint(Style::Bold, &listening.url());
            let note = if up { "" } else { " (does not listen yet: see its problems)" };
            terminal::line(&format!("{proxy}: {at}{}{note}", listening.note()));
        }
        said = now;
        if listeners.changed().await.is_err() {
            return;
        }
    }
}

async fn until_up(envoy: &Envoy, waiting: &BTreeSet<String>) {
    while !envoy.listeners().await.is_ok_and(|up| waiting.iter().all(|address| up.contains(address))) {
        time::sleep(POLL).await;
    }
}
