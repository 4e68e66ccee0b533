//! The names of the mesh: which hosts there are, and which of them a question means.
//!
//! Only hosts are kept. What else a host is called (its short names in Kubernetes, its names with a search domain appended) is found
//! by trying what the name may be short for: a few lookups a question instead of a few entries a host.

mod record;
mod scope;
#[cfg(test)]
mod tests;

pub(crate) use record::Record;
pub use scope::Scope;

use crate::packed::PackedSet;
use std::net::IpAddr;
use tombolo_core::Host;
use tombolo_proto::agent::{NameInfo, NameTable};

/// The longest name in text, without its final dot (RFC 1035, section 2.3.4).
pub(crate) const LONGEST_NAME: usize = 253;

/// Every name of the mesh that the workload may look up.
#[derive(Debug)]
pub struct Table {
    scope: Scope,
    /// Records by name.
    hosts: PackedSet,
    /// How many hosts are wildcards: while there is none, none is looked for.
    wildcards: usize,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) record: Record<'a>,
    /// The name's real name, where it is only another's with a search domain appended: the answer says so with a CNAME.
    pub(crate) canonical: Option<&'a [u8]>,
}

impl Table {
    /// An empty table, for a workload of that scope.
    pub fn new(scope: Scope) -> Self {
        Self { scope, hosts: PackedSet::new(|record| Record::new(record).name()), wildcards: 0 }
    }

    /// Sets what one host resolves to, or removes it. A host that is none, or that would stand for every name (`*`), has no effect.
    pub fn apply(&mut self, host: &str, info: Option<&NameInfo>) {
        let Some(host) = host_of(host) else { return };
        let name = host.as_str().as_bytes();
        let was = self.hosts.get(name).is_some();
        let is = match info {
            Some(info) => self.hosts.insert(&Record::encode(&host, info)),
            None => {
                self.hosts.remove(name);
                false
            }
        };
        if host.is_wildcard() {
            self.wildcards = self.wildcards + usize::from(is) - usize::from(was);
        }
    }

    /// Sets the search domains of the machine.
    pub(crate) fn search(&mut self, domains: &[String]) {
        self.scope = std::mem::take(&mut self.scope).with_search(domains.iter().map(String::as_str));
    }

    /// A table of the same scope with these names and no others.
    #[must_use]
    pub fn replaced(&self, names: &NameTable) -> Self {
        let mut table = Self::new(self.scope.clone());
        for (host, info) in &names.table {
            table.apply(host, Some(info));
        }
        table
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The addresses of a name, as a program would write it; none where the name is not of the mesh.
    pub fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        Some(self.find(name.as_bytes())?.record.addresses().collect())
    }

    /// What a name stands for. The name is in lower case, without its final dot.
    ///
    /// The nearest wins: the host itself, then what the name is short for, then both without a search domain, then wildcards.
    pub(crate) fn find<'a>(&'a self, name: &'a [u8]) -> Option<Found<'a>> {
        if let Some(record) = self.exact(name).or_else(|| self.short(name)) {
            return Some(Found { record, canonical: None });
        }
        let searched = || self.scope.search().iter().filter_map(|search| Some((search, before(name, &search.suffix)?)));
        for (search, rest) in searched() {
            let short = || if search.in_cluster { None } else { self.short(rest) };
            if let Some(record) = self.exact(rest).or_else(short) {
                return Some(Found { record, canonical: Some(record.name()) });
            }
        }
        if self.wildcards == 0 {
            return None;
        }
        if let Some(record) = self.wildcard(name) {
            return Some(Found { record, canonical: None });
        }
        searched().find_map(|(_, rest)| Some(Found { record: self.wildcard(rest)?, canonical: Some(rest) }))
    }

    /// A question for a wildcard itself is for a name below it, and finds it as such.
    fn exact(&self, name: &[u8]) -> Option<Record<'_>> {
        if is_wildcard(name) { None } else { self.hosts.get(name).map(Record::new) }
    }

    fn short(&self, name: &[u8]) -> Option<Record<'_>> {
        let mut full = [0; LONGEST_NAME];
        self.scope.kubernetes().find_map(|suffix| {
            let full = full.get_mut(..name.len() + suffix.len())?;
            full[..name.len()].copy_from_slice(name);
            full[name.len()..].copy_from_slice(suffix);
            self.exact(full).filter(|record| record.is_kubernetes())
        })
    }

    /// The longest wildcard that covers the name: `*.b.c`, then `*.c`, for `a.b.c`.
    fn wildcard(&self, name: &[u8]) -> Option<Record<'_>> {
        let mut rest = [0; LONGEST_NAME];
        let rest = rest.get_mut(..name.len())?;
        rest.copy_from_slice(name);
        for dot in 1..name.len() {
            if name[dot] == b'.' {
                rest[dot - 1] = b'*';
                if let Some(record) = self.hosts.get(&rest[dot - 1..]) {
                    return Some(Record::new(record));
                }
            }
        }
        None
    }
}

/// The part of a name before a search domain.
fn before<'a>(name: &'a [u8], suffix: &[u8]) -> Option<&'a [u8]> {
    name.strip_suffix(suffix).filter(|rest| !rest.is_empty())
}

fn is_wildcard(name: &[u8]) -> bool {
    name.first() == Some(&b'*')
}

fn host_of(host: &str) -> Option<Host> {
    match Host::parse(host.strip_suffix('.').unwrap_or(host)) {
        Ok(host) if host.is_any() => None,
        Ok(host) => Some(host),
        Err(error) => {
            tracing::warn!(host, "a name of the mesh is passed over: {error}");
            None
        }
    }
}
