//! Whether what the clients hold in the end is right: a control plane that is fast because it forgets is not fast.

use crate::{fixture::Mesh, generator::Holdings, sequence::Sequence};
use std::{collections::BTreeMap, net::SocketAddr};
use tombolo_proto::{Part, ResourceSet, ResourceType, Scope};

/// What a client holds differs from what it should.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("client {client} and {others} more hold {kind} {name:?} {how}")]
pub struct Mismatch {
    client: usize,
    others: usize,
    kind: String,
    name: String,
    how: &'static str,
}

/// Holds every client's assignments against the fixture itself: each service's endpoints, with those edits that were made, and no
/// other service's. No control plane's own code has a part in it.
///
/// # Errors
/// The first difference.
pub fn endpoints(holdings: &[Holdings], mesh: Mesh, edit: impl Fn(usize) -> Option<Sequence>) -> Result<(), Mismatch> {
    let expected = (0..mesh.services).map(|nth| (mesh.cluster(nth), sorted(mesh.endpoints(nth, edit(nth))))).collect();
    holdings.iter().try_for_each(|group| {
        let assignments = group.resources.iter().filter(|r| r.kind == ResourceType::Endpoints.short());
        let held = assignments.map(|r| (r.name.clone(), sorted(r.endpoints.clone()))).collect();
        compare(group, ResourceType::Endpoints, &held, &expected)
    })
}

/// Holds every client's resources against those of a translation, byte for byte (by XXH3 of 128 bits): all types, all names.
///
/// # Errors
/// The first difference.
pub fn resources(holdings: &[Holdings], expected: &ResourceSet, scopes: &[Scope]) -> Result<(), Mismatch> {
    // Envoys ask for no names.
    for kind in ResourceType::ALL.into_iter().filter(|kind| *kind <= ResourceType::Routes) {
        let hash = |bytes| format!("{:032x}", Part::from_bytes(bytes, []).hash());
        let list = expected.list(scopes, kind).into_values();
        let expected = list.map(|r| (r.name().to_string(), hash(r.value()))).collect();
        for group in holdings {
            let of_kind = group.resources.iter().filter(|r| r.kind == kind.short());
            let held = of_kind.map(|r| (r.name.clone(), r.hash.clone())).collect();
            compare(group, kind, &held, &expected)?;
        }
    }
    Ok(())
}

fn sorted(mut endpoints: Vec<SocketAddr>) -> Vec<SocketAddr> {
    endpoints.sort_unstable();
    endpoints
}

fn compare<T: PartialEq>(
    group: &Holdings,
    kind: ResourceType,
    held: &BTreeMap<String, T>,
    expected: &BTreeMap<String, T>,
) -> Result<(), Mismatch> {
    let wrong = expected.iter().find_map(|(name, content)| match held.get(name) {
        None => Some((name, "not at all")),
        Some(other) if other != content => Some((name, "with other content")),
        Some(_) => None,
    });
    let excess = || held.keys().find(|name| !expected.contains_key(*name)).map(|name| (name, "though it is gone"));
    let Some((name, how)) = wrong.or_else(excess) else { return Ok(()) };
    Err(Mismatch {
        client: group.clients.first().copied().unwrap_or_default(),
        others: group.clients.len().saturating_sub(1),
        kind: kind.short().to_owned(),
        name: name.clone(),
        how,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Holding;
    use std::sync::Arc;
    use tombolo_proto::{Change, Resource, envoy::envoy::config::cluster::v3::Cluster};

    const MESH: Mesh = Mesh { services: 3, endpoints: 2, namespaces: 1 };

    fn holding(kind: ResourceType, name: &str, hash: &str, mut endpoints: Vec<SocketAddr>) -> Holding {
        endpoints.reverse(); // order does not matter
        Holding { kind: kind.short().into(), name: name.into(), version: "1".into(), hash: hash.into(), endpoints }
    }

    fn fixture(edited: usize, sequence: u32) -> Holdings {
        let edit = |nth| (nth == edited).then(|| Sequence::new(sequence));
        let held = |nth| holding(ResourceType::Endpoints, &MESH.cluster(nth), "", MESH.endpoints(nth, edit(nth)));
        Holdings { clients: vec![4, 6], resources: (0..MESH.services).map(held).collect() }
    }

    #[test]
    fn endpoints_are_those_of_the_fixture() {
        let check = |held: Holdings| {
            let edit = |nth| (nth == 1).then(|| Sequence::new(9));
            endpoints(&[fixture(1, 9), held], MESH, edit).map_err(|e| e.to_string())
        };
        assert_eq!(check(fixture(1, 9)), Ok(()));
        let wrong = |how| Err(format!("client 4 and 1 more hold eds \"{}\" {how}", MESH.cluster(1)));
        assert_eq!(check(fixture(1, 8)), wrong("with other content"));
        let mut less = fixture(1, 9);
        less.resources.remove(1);
        assert_eq!(check(less), wrong("not at all"));
        let mut more = fixture(1, 9);
        more.resources.push(holding(ResourceType::Endpoints, "old", "", Vec::new()));
        assert!(check(more).unwrap_err().ends_with("hold eds \"old\" though it is gone"));
    }

    #[test]
    fn resources_are_those_of_the_translation() {
        let cluster = Cluster { name: "a".into(), ..Default::default() };
        let resource = Arc::new(Resource::encode(ResourceType::Cluster, "a", &cluster, []));
        let hash = resource.version().to_string();
        let mut set = ResourceSet::default();
        let (kind, name) = (ResourceType::Cluster, "a".into());
        set.apply(Change { scope: Scope::public(), kind, name, resource: Some(resource) });
        let check = |held| {
            let group = Holdings { clients: vec![0], resources: held };
            resources(&[group], &set, &[Scope::public()]).map_err(|e| e.how)
        };
        assert_eq!(check(vec![holding(kind, "a", &hash, Vec::new())]), Ok(()));
        assert_eq!(check(vec![holding(kind, "a", "0", Vec::new())]), Err("with other content"));
        assert_eq!(check(Vec::new()), Err("not at all"));
    }
}
