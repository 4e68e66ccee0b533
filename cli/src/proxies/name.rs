//! Proxies by the names that people give them: `pod.namespace`, as Istio's tools do, or as much of it as only one begins with.

use std::collections::BTreeSet;
use tombolo_core::ProxyId;

/// Names that an error lists at most.
const LISTED: usize = 8;
/// How alike a name must be to be offered instead of one that is not there (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// A name that says no proxy, or more than one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameError {
    /// Nothing is connected at all.
    #[error("no proxy is connected")]
    Nobody,
    /// Nothing of this name.
    #[error("no proxy {name} is connected{near}")]
    Unknown { name: String, near: String },
    /// Several begin with it.
    #[error("{name} may be any of: {}; name one of them", listed(.candidates))]
    Ambiguous { name: String, candidates: Vec<String> },
}

/// A proxy's name for people: `pod.namespace` of a node id; what is no node id stays as it is.
pub(super) fn of(node: &str) -> String {
    match node.parse::<ProxyId>() {
        Ok(id) => format!("{}.{}", id.name.name, id.name.namespace),
        Err(_) if node.is_empty() => "(not known yet)".to_owned(),
        Err(_) => node.to_owned(),
    }
}

/// The node id of those given that a name means: it is the whole name, the node id itself, or what only one name begins with.
pub(super) fn find<'a>(wanted: &str, nodes: impl Iterator<Item = &'a str>) -> Result<&'a str, NameError> {
    let all: BTreeSet<(String, &str)> = nodes.map(|node| (of(node), node)).collect();
    if all.is_empty() {
        return Err(NameError::Nobody);
    }
    if let Some((_, node)) = all.iter().find(|(_, node)| *node == wanted) {
        return Ok(node);
    }
    let whole: Vec<_> = all.iter().filter(|(name, _)| name == wanted).collect();
    let begin: Vec<_> = all.iter().filter(|(name, _)| name.starts_with(wanted)).collect();
    match (&*whole, &*begin) {
        ([(_, node)], _) | ([], [(_, node)]) => Ok(node),
        ([], []) => Err(NameError::Unknown { name: wanted.to_owned(), near: near(wanted, &all) }),
        // Two proxies of one name have different addresses: their node ids tell them apart.
        ([], many) => Err(ambiguous(wanted, many.iter().map(|(name, _)| name.clone()))),
        (many, _) => Err(ambiguous(wanted, many.iter().map(|(_, node)| (*node).to_owned()))),
    }
}

fn ambiguous(name: &str, candidates: impl Iterator<Item = String>) -> NameError {
    NameError::Ambiguous { name: name.to_owned(), candidates: candidates.collect() }
}

/// Those whose name holds the text, or is like it.
fn near(wanted: &str, all: &BTreeSet<(String, &str)>) -> String {
    let workload = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let like = |name: &str| {
        let whole = strsim::jaro_winkler(wanted, name);
        whole.max(strsim::jaro_winkler(&workload(wanted), &workload(name)))
    };
    let score = |name: &str| if name.contains(wanted) { 1.0 } else { like(name) };
    let mut near: Vec<_> =
        all.iter().map(|(name, _)| (score(name), name)).filter(|(score, _)| *score >= ALIKE).collect();
    near.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    let names: Vec<_> = near.into_iter().map(|(_, name)| name.clone()).collect();
    match names.is_empty() {
        true => format!("; {} are: see `tombolo status`", all.len()),
        false => format!("; near: {}", listed(&names)),
    }
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let named = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [&str; 4] = [
        "router~10.0.0.1~edge-tombolo-7d9f-abcde.shop~shop.svc.cluster.local",
        "router~10.0.0.2~edge-tombolo-7d9f-fghij.shop~shop.svc.cluster.local",
        "sidecar~10.0.0.3~stock-1.shop~shop.svc.cluster.local",
        "sidecar~10.0.0.4~stock-10.shop~shop.svc.cluster.local",
    ];

    fn named(wanted: &str) -> Result<&'static str, NameError> {
        find(wanted, NODES.into_iter())
    }

    #[test]
    fn a_proxy_is_known_by_its_name_its_node_id_and_its_unique_beginning() {
        assert_eq!(named("stock-1.shop").unwrap(), NODES[2]);
        assert_eq!(named(NODES[0]).unwrap(), NODES[0]);
        assert_eq!(named("edge-tombolo-7d9f-f").unwrap(), NODES[1]);
        assert_eq!(named("stock-10").unwrap(), NODES[3]);
        assert_eq!(of("no node id"), "no node id");
    }

    #[test]
    fn what_several_begin_with_is_no_name() {
        let error = named("stock-1").unwrap_err();
        assert_eq!(error.to_string(), "stock-1 may be any of: stock-1.shop, stock-10.shop; name one of them");
        let twins = ["sidecar~10.0.0.3~a.b~x", "sidecar~10.0.0.4~a.b~x"];
        let error = find("a.b", twins.into_iter()).unwrap_err();
        assert!(error.to_string().contains("sidecar~10.0.0.4~a.b~x"), "{error}");
        assert_eq!(find(twins[1], twins.into_iter()).unwrap(), twins[1]);
    }

    #[test]
    fn what_is_not_there_has_near_names() {
        for typo in ["stck-1.shop", "stokc-10", "tock-1"] {
            let error = named(typo).unwrap_err().to_string();
            assert!(error.contains("near: ") && error.contains("stock-1.shop") && !error.contains("edge"), "{error}");
        }
        let error = named("zzz").unwrap_err().to_string();
        assert_eq!(error, "no proxy zzz is connected; 4 are: see `tombolo status`");
        assert_eq!(find("a", std::iter::empty()).unwrap_err(), NameError::Nobody);
    }

    #[test]
    fn long_lists_are_cut() {
        let nodes: Vec<_> = (0..20).map(|n| format!("sidecar~::1~a-{n:02}.b~x")).collect();
        let error = find("a", nodes.iter().map(String::as_str)).unwrap_err().to_string();
        assert!(error.contains("a-07.b and 12 more"), "{error}");
    }
}
