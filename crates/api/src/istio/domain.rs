//! Host names as Istio accepts them.

use crate::kubernetes::check::is_any_case_label;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{ops::Deref, slice, sync::Arc};
use tombolo_core::Host;

/// The names of a service, in the order in which they are written.
///
/// Istio accepts wildcards within a label too (`*-api.example.com`) and warns of them. They are kept apart, so that the
/// other names of the object are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    served: Vec<Host>,
    partial_wildcards: Vec<(usize, Arc<str>)>,
}

impl Hosts {
    /// The names that are understood and not served, each with its place in the list.
    pub fn partial_wildcards(&self) -> &[(usize, Arc<str>)] {
        &self.partial_wildcards
    }

    /// Each name that is served, with its place in the list as it is written.
    pub fn places(&self) -> impl Iterator<Item = (usize, &Host)> {
        let skipped = |i: &usize| self.partial_wildcards.iter().any(|(place, _)| place == i);
        (0usize..).filter(move |i| !skipped(i)).zip(&self.served)
    }
}

impl Deref for Hosts {
    type Target = [Host];
    fn deref(&self) -> &[Host] {
        &self.served
    }
}

impl<'a> IntoIterator for &'a Hosts {
    type Item = &'a Host;
    type IntoIter = slice::Iter<'a, Host>;
    fn into_iter(self) -> Self::IntoIter {
        self.served.iter()
    }
}

impl From<Vec<Host>> for Hosts {
    fn from(served: Vec<Host>) -> Self {
        Self { served, partial_wildcards: Vec::new() }
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut hosts = Self::default();
        for (i, name) in Vec::<Name>::deserialize(d)?.into_iter().enumerate() {
            match name {
                Name::Host(host) => hosts.served.push(host),
                Name::PartialWildcard(text) => hosts.partial_wildcards.push((i, text)),
            }
        }
        Ok(hosts)
    }
}

enum Name {
    Host(Host),
    PartialWildcard(Arc<str>),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let error = |message: String| D::Error::custom(format!("{text:?}: {message}"));
        // A final dot says that the name is complete, which names here are anyway.
        let name = text.strip_suffix('.').unwrap_or(&text);
        if let Some(rest) = name.strip_prefix('*').filter(|rest| !rest.is_empty()) {
            if let Some(reason) = refused(rest.strip_prefix(['.', '-']).unwrap_or(rest)) {
                return Err(error(reason));
            }
            if !rest.starts_with('.') {
                return Ok(Self::PartialWildcard(name.into()));
            }
        } else if let Some(reason) = refused(name).filter(|_| name != "*") {
            return Err(error(reason));
        }
        Host::parse(name).map(Self::Host).map_err(|e| error(e.to_string()))
    }
}

/// Why Istio refuses a name without wildcards; `None` where it accepts it. A final dot is allowed.
pub(super) fn refused(name: &str) -> Option<String> {
    if name.is_empty() || name.len() > 255 {
        return Some("a domain name has 1 to 255 characters".to_owned());
    }
    let labels: Vec<&str> = name.strip_suffix('.').unwrap_or(name).split('.').collect();
    // The last label decides: 10.0.0.1 is an address, not a name.
    if labels.last().is_some_and(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_digit())) {
        return Some("the last label of a domain name cannot be a number".to_owned());
    }
    let bad = labels.into_iter().find(|label| !is_any_case_label(label))?;
    Some(format!("label {bad:?} is not valid: use letters, digits and inner hyphens, at most 63"))
}
