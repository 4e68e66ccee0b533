//! One case: a directory with an `in.yaml`, translated from scratch.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};
use tombolo_api::{Kind, ObjectKey, manifest};
use tombolo_controlplane::Allocator;
use tombolo_core::{Problem, ProxyKind, SourceId};
use tombolo_proto::{Change, Resource, ResourceSet, ResourceType, Scope};
use tombolo_registry::{Index, Snapshot};
use tombolo_translate::{
    Bind, Engine, Interception, Variant,
    engine::{Fact, Relation},
    scopes,
};

/// Begins a comment in `in.yaml` that names a namespace whose sidecars are connected.
const SIDECARS: &str = "# sidecars: ";

/// A comment in `in.yaml` that says that the mesh has a certificate authority: its root is [`ROOT`].
const TRUST: &str = "# trust: root.pem";

/// The root of a mesh with a certificate authority. Nobody has its key.
const ROOT: &str = include_str!("root.pem");

/// A case.
pub(crate) struct Case {
    /// The directory's name.
    pub(crate) name: String,
    /// The directory.
    pub(crate) directory: PathBuf,
    input: String,
}

/// What became of a case.
pub(crate) struct Translated {
    /// The translation.
    pub(crate) engine: Engine,
    /// What was translated.
    pub(crate) snapshot: Snapshot,
    /// Problems of reading, and of translating.
    pub(crate) problems: Vec<Problem>,
    /// What each proxy would get, by the name of its first scope.
    pub(crate) proxies: BTreeMap<String, Vec<Arc<Resource>>>,
}

/// Where all cases are.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

impl Case {
    /// Every case, by name. Directories without an `in.yaml` are not cases.
    pub(crate) fn all() -> Vec<Self> {
        let mut cases: Vec<Self> = fs::read_dir(root())
            .expect("the golden directory is there")
            .map(|entry| entry.expect("it can be listed").path())
            .filter_map(|directory| {
                let input = fs::read_to_string(directory.join("in.yaml")).ok()?;
                Some(Self { name: directory.file_name()?.to_str()?.to_owned(), directory, input })
            })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(!cases.is_empty(), "no cases below {}", root().display());
        cases
    }

    /// Translates; each Gateway's listeners bind where `bind` says, by its number.
    pub(crate) fn translate(&self, bind: impl Fn(usize) -> Option<Bind>) -> Translated {
        let source = SourceId::new("golden");
        let content = manifest::read(self.input.as_bytes(), "in.yaml");
        let mut problems = content.problems;
        let mut index = Index::default();
        for decoded in content.decoded {
            problems.extend(decoded.problems);
            if let Some(object) = decoded.object {
                index.apply(source, object);
            }
        }
        let mut gateways: Vec<ObjectKey> =
            index.current().keys().filter(|key| key.kind == Kind::Gateway).cloned().collect();
        gateways.sort();
        let bound = gateways.into_iter().enumerate();
        let binds = bound.filter_map(|(i, gateway)| Some((Relation::Bind(gateway), Fact::Bind(bind(i)?))));
        let sidecars = self.sidecars().map(|namespace| (Relation::SidecarNamespace(namespace.into()), Fact::Unit));
        let mut allocator = Allocator::default();
        let inputs = binds.chain(sidecars).chain(self.trust());
        let (engine, outcome) = Engine::from_scratch_with(index.current(), inputs, |needs| allocator.answer(needs));
        problems.extend(engine.problems());
        let mut set = ResourceSet::default();
        outcome.changes.into_iter().for_each(|change| {
            set.apply(change);
        });
        Translated { engine, snapshot: index.snapshot(), problems, proxies: proxies(&set, self.sidecars()) }
    }

    fn trust(&self) -> Option<(Relation, Fact)> {
        let trusted = self.input.lines().any(|line| line == TRUST);
        trusted.then(|| (Relation::Trust, Fact::Trust(ROOT.into())))
    }

    fn sidecars(&self) -> impl Iterator<Item = &str> {
        self.input.lines().filter_map(|line| line.strip_prefix(SIDECARS)).map(str::trim)
    }
}

/// A proxy for each gateway, one for each namespace with sidecars, and one for each workload with a local agent.
fn proxies<'a>(set: &ResourceSet, sidecars: impl Iterator<Item = &'a str>) -> BTreeMap<String, Vec<Arc<Resource>>> {
    let gateways = set.scopes().filter(|scope| scope.as_str().starts_with("gateway/")).map(|scope| vec![scope.clone()]);
    let gateways = gateways.map(|scopes| (scopes[0].to_string(), scopes));
    let seen = |namespace: &str, name, interception| {
        scopes(ProxyKind::Sidecar, namespace, name, &Variant::default(), interception)
    };
    let sidecars = sidecars
        .map(|namespace| (Scope::namespace(namespace).to_string(), seen(namespace, "", Interception::Captured)));
    let workloads = set.scopes().filter_map(|scope| {
        let (namespace, name) = scope.as_str().strip_prefix("workload/")?.split_once('/')?;
        Some((scope.to_string(), seen(namespace, name, Interception::Explicit)))
    });
    let all = gateways.chain(sidecars).chain(workloads);
    all.map(|(name, scopes)| {
        let kinds = ResourceType::ALL.into_iter();
        (name, kinds.flat_map(|kind| set.list(&scopes, kind).into_values()).collect())
    })
    .collect()
}

/// The same resources, for the proxies of one scope.
pub(crate) fn changes(scope: &Scope, resources: &[Arc<Resource>]) -> Vec<Change> {
    let change = |resource: &Arc<Resource>| Change {
        scope: scope.clone(),
        kind: resource.kind(),
        name: resource.name().clone(),
        resource: Some(resource.clone()),
    };
    resources.iter().map(change).collect()
}
