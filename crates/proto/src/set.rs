//! Who may see which resources, kept by difference.

use crate::{Resource, ResourceType};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

/// A named set of resources that some proxies see: everything public, what one namespace sees besides, one gateway's own.
///
/// A proxy's class is an ordered list of scopes; where two hold a resource of one type and name, the earlier one wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

impl Scope {
    /// What every sidecar may see.
    pub fn public() -> Self {
        Self("public".into())
    }

    /// What the sidecars of one namespace see besides, or instead.
    pub fn namespace(namespace: &str) -> Self {
        Self(format!("namespace/{namespace}").into())
    }

    /// What one gateway sees: all of it, as a gateway sees nothing else.
    pub fn gateway(namespace: &str, name: &str) -> Self {
        Self(format!("gateway/{namespace}/{name}").into())
    }

    /// What one workload's proxy sees besides: what listens for the workload, and for its own calls.
    pub fn workload(namespace: &str, name: &str) -> Self {
        Self(format!("workload/{namespace}/{name}").into())
    }

    /// A part of this scope that only some of its proxies see, before the rest: those of one locality, say.
    #[must_use]
    pub fn variant(&self, variant: &str) -> Self {
        Self(format!("{}@{variant}", self.0).into())
    }

    /// The scope of a text that [`Scope::as_str`] gave.
    pub fn named(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One resource of one scope is new, different or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose proxies see the change.
    pub scope: Scope,
    /// The resource's type.
    pub kind: ResourceType,
    /// The resource's name.
    pub name: Arc<str>,
    /// What it is now; `None` where it is gone.
    pub resource: Option<Arc<Resource>>,
}

/// Every scope's resources. Changes are applied; nothing is ever replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSet {
    scopes: HashMap<Scope, Named>,
}

/// The resources of one scope.
type Named = HashMap<(ResourceType, Arc<str>), Arc<Resource>>;

impl ResourceSet {
    /// Takes one change in. Returns false where it changed nothing.
    pub fn apply(&mut self, change: Change) -> bool {
        let Change { scope, kind, name, resource } = change;
        match resource {
            Some(resource) => {
                let old = self.scopes.entry(scope).or_default().insert((kind, name), resource.clone());
                old.is_none_or(|old| old.version() != resource.version())
            }
            None => {
                let Some(set) = self.scopes.get_mut(&scope) else { return false };
                let removed = set.remove(&(kind, name)).is_some();
                if set.is_empty() {
                    self.scopes.remove(&scope);
                }
                removed
            }
        }
    }

    /// The resource that a proxy of these scopes sees under a name.
    pub fn get(&self, scopes: &[Scope], kind: ResourceType, name: &Arc<str>) -> Option<&Arc<Resource>> {
        let key = (kind, name.clone());
        scopes.iter().find_map(|scope| self.scopes.get(scope)?.get(&key))
    }

    /// All resources of a type that a proxy of these scopes sees, by name.
    pub fn list(&self, scopes: &[Scope], kind: ResourceType) -> BTreeMap<Arc<str>, Arc<Resource>> {
        let mut all = BTreeMap::new();
        for set in scopes.iter().rev().filter_map(|scope| self.scopes.get(scope)) {
            all.extend(set.iter().filter(|((k, _), _)| *k == kind).map(|((_, name), r)| (name.clone(), r.clone())));
        }
        all
    }

    /// Every scope that holds something.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.keys()
    }

    /// Every resource of one scope, unordered.
    pub fn resources(&self, scope: &Scope) -> impl Iterator<Item = &Arc<Resource>> {
        self.scopes.get(scope).into_iter().flat_map(HashMap::values)
    }
}
