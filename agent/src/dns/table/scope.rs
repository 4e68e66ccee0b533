//! From where names are looked up: what a short name is short for depends on it.

/// The workload's place among names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// `.NAMESPACE.svc.DOMAIN`, `.svc.DOMAIN` and `.DOMAIN`, in the order in which Kubernetes' own resolver would try them.
    kubernetes: Vec<Box<[u8]>>,
    search: Vec<Search>,
}

/// A search domain of the machine, which its resolver appends to names before it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Search {
    /// With its leading dot.
    pub(super) suffix: Box<[u8]>,
    /// Whether it lies in the cluster's domain. Kubernetes' names are complete there, none is short for another.
    pub(super) in_cluster: bool,
}

/// Search domains that are kept; more than resolvers are known to use.
const MOST_SEARCH_DOMAINS: usize = 32;

impl Scope {
    /// The workload's namespace, the cluster's domain (usually `cluster.local`), and the search domains of the machine. Domains may
    /// end in a dot, their case does not matter. With an empty cluster domain there are no short names.
    pub fn new<'a>(namespace: &str, domain: &str, search: impl IntoIterator<Item = &'a str>) -> Self {
        let domain = normal(domain);
        let kubernetes = if domain.is_empty() {
            Vec::new()
        } else {
            let full = [format!(".{}.svc.{domain}", normal(namespace)), format!(".svc.{domain}"), format!(".{domain}")];
            full.into_iter().map(|suffix| suffix.into_bytes().into()).collect()
        };
        Self { kubernetes, search: Vec::new() }.with_search(search)
    }

    /// The same place, on a machine with these search domains.
    pub(super) fn with_search<'a>(mut self, search: impl IntoIterator<Item = &'a str>) -> Self {
        let cluster = self.kubernetes.last();
        let search = search.into_iter().map(normal).filter(|search| !search.is_empty()).take(MOST_SEARCH_DOMAINS);
        let search = search.map(|search| format!(".{search}").into_bytes()).map(|suffix| Search {
            in_cluster: cluster.is_some_and(|cluster| suffix.ends_with(cluster)),
            suffix: suffix.into(),
        });
        self.search = search.collect();
        self
    }

    pub(super) fn kubernetes(&self) -> impl Iterator<Item = &[u8]> {
        self.kubernetes.iter().map(|suffix| &**suffix)
    }

    pub(super) fn search(&self) -> &[Search] {
        &self.search
    }
}

fn normal(name: &str) -> String {
    name.trim_matches('.').to_ascii_lowercase()
}
