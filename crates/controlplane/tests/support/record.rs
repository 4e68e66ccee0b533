//! What is recorded of a case, and whether it still is so.

use super::case::{Case, Translated, root};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, env, fs, path::Path, sync::Arc};
use tombolo_core::Problem;
use tombolo_proto::{Resource, json::to_json};
use tombolo_translate::{
    engine::{Emits, UnitId},
    ir,
    status::Status,
};

/// How to make the records what they should be.
const REMEDY: &str = "if that is as it should be: cargo xtask golden";

/// `status.yaml`
#[derive(Serialize)]
struct Statuses<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [Problem],
    status: BTreeMap<String, Arc<Status>>,
}

/// `ir.yaml`: what is to be served, before it is put in Envoy's words.
#[derive(Default, Serialize)]
struct Intermediate<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    listeners: BTreeMap<String, &'a ir::Listener>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<String, BTreeMap<String, ir::VirtualHost>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    endpoints: BTreeMap<String, &'a [ir::Endpoint]>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    inbound: BTreeMap<String, &'a [ir::Inbound]>,
}

fn intermediate(translated: &Translated) -> Intermediate<'_> {
    let engine = &translated.engine;
    let mut all = Intermediate::default();
    for unit in engine.units() {
        match unit {
            UnitId::Listener(unit) => {
                let listener = engine.output(unit).expect("a unit that exists has an output");
                all.listeners.insert(format!("{} {}", unit.gateway, unit.port), listener);
            }
            UnitId::VirtualHost(unit) => {
                let view = engine.view(&translated.snapshot);
                let built =
                    unit.hosts(&view, &mut Emits::default()).expect("a unit that exists is made from something");
                let table = format!("{} {}", unit.table.scope(), unit.table.name());
                let hosts = all.tables.entry(table).or_default();
                let alone = built.len() == 1;
                let name = |host: &ir::VirtualHost| if alone { unit.host.to_string() } else { host.name.clone() };
                hosts.extend(built.into_iter().map(|host| (name(&host), host)));
            }
            UnitId::Assignment(unit) => {
                let assigned = engine.output(unit).expect("a unit that exists has an output");
                let key = &unit.0;
                all.endpoints.insert(format!("{} {}:{}", key.namespace, key.host, key.port), &assigned.endpoints);
            }
            UnitId::Local(unit) => {
                let inbound = &engine.output(unit).expect("a unit that exists has an output").inbound;
                all.inbound.insert(unit.0.to_string(), inbound);
            }
            _ => {}
        }
    }
    all
}

/// The files that a translation gives, by name, in no other order.
fn files(translated: &Translated) -> BTreeMap<&'static str, String> {
    let status = translated.engine.statuses().into_iter().map(|(key, status)| (key.to_string(), status)).collect();
    let status = yaml(&Statuses { problems: &translated.problems, status });
    let proxies: BTreeMap<&String, _> = translated.proxies.iter().map(|(name, all)| (name, by_type(all))).collect();
    let ir = yaml(&intermediate(translated));
    BTreeMap::from([("ir.yaml", ir), ("status.yaml", status), ("xds.yaml", yaml(&proxies))])
}

/// Resources by type and name, as Envoy's own files would have them.
fn by_type(resources: &[Arc<Resource>]) -> BTreeMap<&'static str, BTreeMap<&str, Value>> {
    let mut types = BTreeMap::<_, BTreeMap<_, _>>::new();
    for resource in resources {
        types.entry(resource.kind().short()).or_default().insert(&**resource.name(), to_json(resource));
    }
    types
}

fn yaml(value: &impl Serialize) -> String {
    serde_saphyr::to_string(value).expect("values of ours are YAML")
}

/// Compares a case with its records, or with `UPDATE_GOLDEN=1` makes them so. Returns what differs.
pub(crate) fn settle(case: &Case, translated: &Translated) -> Vec<String> {
    let files = files(translated);
    let mut differences = stale(&case.directory, |name| name == "in.yaml" || files.contains_key(name));
    for (name, now) in files {
        let path = case.directory.join(name);
        let recorded = fs::read_to_string(&path).unwrap_or_default();
        match recorded == now {
            true => {}
            false if updating() => fs::write(&path, now).expect("records can be written"),
            false => differences.push(difference(&format!("{}/{name}", case.name), &recorded, &now)),
        }
    }
    differences
}

/// Directories that are no case's, or with `UPDATE_GOLDEN=1` none: they are removed.
pub(crate) fn stale_cases() -> Vec<String> {
    stale(&root(), |name| root().join(name).join("in.yaml").is_file())
}

fn updating() -> bool {
    env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1")
}

fn stale(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a golden directory can be listed");
    let extra = entries.flatten().filter(|entry| !entry.file_name().to_str().is_some_and(&wanted));
    let extra = extra.map(|entry| entry.path());
    match updating() {
        true => {
            extra.for_each(|path| remove(&path).expect("what is stale can be removed"));
            Vec::new()
        }
        false => extra.map(|path| format!("{} belongs to no case; {REMEDY}", path.display())).collect(),
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// The first line that differs, with those around it.
fn difference(name: &str, recorded: &str, now: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (recorded.lines().collect(), now.lines().collect());
    let at = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let around = |lines: &[&str], sign: &str| {
        let from = at.saturating_sub(3).min(lines.len());
        let to = (at + 4).min(lines.len());
        lines[from..to].iter().map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    let (old, new) = (around(&old, "-"), around(&new, "+"));
    format!("{name} differs from line {} on; {REMEDY}\n{old}{new}", at + 1)
}
