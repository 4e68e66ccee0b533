//! Host names as the Gateway API's schema has them: stricter than [`Host`] is, but for two things that it forbids in words alone. Of
//! those we warn, as an API server stores them, and other implementations serve them.

use crate::Report;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::net::Ipv4Addr;
use tombolo_core::{FieldPath, Host};

/// `Hostname`: lower case; a wildcard as the first of several labels.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hostname(Host);

impl TryFrom<String> for Hostname {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let host = Host::parse_long(&text).map_err(|e| format!("{text:?}: {e}"))?;
        let broken = if host.is_any() {
            "'*' alone is not a host name here: leave the field out to mean every host"
        } else if host.as_str() != text {
            "host names are written in lower case"
        } else if text.contains('_') {
            "host names have no underscores here"
        } else {
            return Ok(Self(host));
        };
        Err(format!("{text:?}: {broken}"))
    }
}

/// A list of host names.
pub(super) fn list<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Host>, D::Error> {
    Ok(Vec::<Hostname>::deserialize(d)?.into_iter().map(|h| h.0).collect())
}

/// A host name that may be absent.
pub(super) fn optional<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Host>, D::Error> {
    Ok(Option::<Hostname>::deserialize(d)?.map(|h| h.0))
}

/// `PreciseHostname`: no wildcard.
pub(super) fn precise<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Host>, D::Error> {
    let host = optional(d)?;
    match host.as_ref().filter(|h| h.is_wildcard()) {
        Some(host) => Err(D::Error::custom(format!("\"{host}\": a wildcard stands for no single host"))),
        None => Ok(host),
    }
}

/// Warns of a name that requests hardly come with.
pub(super) fn warn(host: &Host, at: impl FnOnce() -> FieldPath, report: &mut Report) {
    let (message, fix) = if host.as_str().parse::<Ipv4Addr>().is_ok() {
        ("an IP address is not a host name: only requests that have it as their Host match", "use a name")
    } else if host.long_label().is_some() {
        ("a label of more than 63 characters is in no name that DNS knows", "use a shorter one")
    } else {
        return;
    };
    report.warning(at(), "UnusualHostname", message, fix);
}
