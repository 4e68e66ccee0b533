//! `tombolo translate`

use crate::{
    args::{Format, TranslateArgs, Type},
    load::Loaded,
    terminal,
};
use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, process::ExitCode};
use tombolo_api::Kind;
use tombolo_core::{ProxyId, ProxyKind};
use tombolo_proto::{Resource, ResourceSet, ResourceType, Scope};
use tombolo_translate::{Interception, Variant};

/// Shows which proxies there would be, what one would get, or each object's status.
pub(crate) fn translate(args: &TranslateArgs) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::read(&args.files)?;
    let errors = loaded.problems().iter().any(tombolo_core::Problem::is_error);
    let shown = match &args.proxy {
        Some(proxy) => resources(&loaded.with_sidecars(), proxy, args.kind)?,
        None if args.status => statuses(&loaded),
        None => proxies(&loaded),
    };
    terminal::line(print(&shown, args.output)?.trim_end());
    Ok(if errors { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn print(value: &Value, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Yaml => serde_saphyr::to_string(value).context("cannot print as YAML; try -o json")?,
        Format::Json => serde_json::to_string_pretty(value)?,
    })
}

/// The proxies that there would be, by the names that `--proxy` takes.
fn names(loaded: &Loaded) -> BTreeMap<String, Vec<Scope>> {
    let statuses = loaded.world.statuses().map(|(key, _)| key).filter(|key| key.kind == Kind::Gateway);
    let gateways = statuses.map(|key| {
        let (namespace, name) = (&key.name.namespace, &key.name.name);
        (format!("gateway/{namespace}/{name}"), vec![Scope::gateway(namespace, name)])
    });
    let sidecars = loaded.namespaces().into_iter();
    let of = |namespace: &str, name: &str, how| {
        tombolo_translate::scopes(ProxyKind::Sidecar, namespace, name, &Variant::default(), how)
    };
    let sidecars = sidecars.map(|ns| (format!("sidecar/{ns}"), of(&ns, "", Interception::Captured)));
    let local = loaded.world.workloads().filter(|(_, row)| row.local).map(|(key, _)| &key.name);
    let workloads = local.map(|name| {
        let scopes = of(&name.namespace, &name.name, Interception::Explicit);
        (format!("workload/{name}"), scopes)
    });
    gateways.chain(sidecars).chain(workloads).collect()
}

fn proxies(loaded: &Loaded) -> Value {
    json!({"proxies": names(loaded).into_keys().collect::<Vec<_>>()})
}

fn resources(loaded: &Loaded, proxy: &str, kind: Option<Type>) -> anyhow::Result<Value> {
    let names = names(loaded);
    // A node id, as in an Envoy's bootstrap, stands for a proxy too.
    let by_id = proxy.parse::<ProxyId>().map(|id| match id.kind {
        ProxyKind::Gateway => format!("gateway/{}", id.name),
        ProxyKind::Sidecar => format!("sidecar/{}", id.name.namespace),
    });
    let Some(scopes) = names.get(by_id.as_deref().unwrap_or(proxy)) else {
        let known: Vec<_> = names.keys().map(String::as_str).collect();
        bail!("there is no proxy {proxy:?} here; there are: {}", known.join(", "));
    };
    let set = set(loaded);
    let mut all = Map::new();
    // The table of names is made of the names by the server.
    let kinds = ResourceType::ALL.into_iter().filter(|kind| *kind != ResourceType::NameTable);
    for kind in kinds.filter(|k| kind.is_none_or(|wanted| wanted.is(*k))) {
        let list = set.list(scopes, kind).into_values().map(|resource| shown(&resource)).collect();
        all.insert(kind.short().to_owned(), Value::Array(list));
    }
    Ok(Value::Object(all))
}

fn set(loaded: &Loaded) -> ResourceSet {
    let mut set = ResourceSet::default();
    for (scope, resource) in loaded.world.engine().resources() {
        set.apply(tombolo_proto::Change {
            scope: scope.clone(),
            kind: resource.kind(),
            name: resource.name().clone(),
            resource: Some(resource.clone()),
        });
    }
    set
}

fn shown(resource: &Resource) -> Value {
    json!({"name": &**resource.name(), "version": resource.version().to_string(), "resource": tombolo_proto::json::to_json(resource)})
}

fn statuses(loaded: &Loaded) -> Value {
    let one = |(key, status): (&tombolo_api::ObjectKey, &tombolo_controlplane::TimedStatus)| {
        let mut object = json!({"apiVersion": key.kind.api_version(), "kind": key.kind.name(), "metadata": {"name": &*key.name.name}});
        if !key.name.namespace.is_empty() {
            object["metadata"]["namespace"] = json!(&*key.name.namespace);
        }
        object["status"] = serde_json::to_value(&**status.status()).unwrap_or_default();
        object
    };
    Value::Array(loaded.world.statuses().map(one).collect())
}

impl Type {
    fn is(self, kind: ResourceType) -> bool {
        let own = match self {
            Self::Cds => ResourceType::Cluster,
            Self::Eds => ResourceType::Endpoints,
            Self::Lds => ResourceType::Listener,
            Self::Nds => ResourceType::Name,
            Self::Rds => ResourceType::Routes,
            Self::Sds => ResourceType::Secret,
        };
        own == kind
    }
}
