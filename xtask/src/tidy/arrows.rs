//! Which crate may use which: arrows point down only, so that what is pure stays pure.

use cargo_metadata::Metadata;

/// What a crate of the workspace may use of the others.
enum May {
    /// These only.
    Use(&'static [&'static str]),
    /// Every library, and no program.
    UseLibraries,
    /// Every library, and these programs, which have a library beside them.
    UseLibrariesAnd(&'static [&'static str]),
}

/// The programs: nothing uses them.
const PROGRAMS: &[&str] =
    &["tombolo", "tombolo-bench", "tombolo-discovery", "tombolo-operator", "tombolo-agent", "xtask"];

/// Every crate of the workspace, from the bottom up. A crate that is not here fails the check: it has no place yet.
const ARROWS: &[(&str, May)] = &[
    ("tombolo-core", May::Use(&[])),
    ("tombolo-proto", May::Use(&[])),
    ("tombolo-process", May::Use(&[])),
    ("tombolo-api", May::Use(&["tombolo-core"])),
    ("tombolo-xds", May::Use(&["tombolo-proto", "tombolo-core"])),
    ("tombolo-ca", May::Use(&["tombolo-proto", "tombolo-core"])),
    ("tombolo-registry", May::Use(&["tombolo-api", "tombolo-core"])),
    ("tombolo-rollout", May::Use(&["tombolo-api", "tombolo-core"])),
    ("tombolo-registration", May::Use(&["tombolo-registry", "tombolo-api", "tombolo-core"])),
    ("tombolo-translate", May::Use(&["tombolo-registry", "tombolo-api", "tombolo-proto", "tombolo-core"])),
    (
        "tombolo-controlplane",
        May::Use(&[
            "tombolo-translate",
            "tombolo-xds",
            "tombolo-ca",
            "tombolo-registration",
            "tombolo-registry",
            "tombolo-api",
            "tombolo-proto",
            "tombolo-core",
        ]),
    ),
    ("tombolo-kubernetes", May::Use(&["tombolo-core"])),
    (
        "tombolo-operator",
        May::Use(&["tombolo-kubernetes", "tombolo-rollout", "tombolo-ca", "tombolo-api", "tombolo-core"]),
    ),
    ("tombolo-agent", May::Use(&["tombolo-process", "tombolo-proto", "tombolo-core"])),
    ("tombolo-discovery", May::UseLibraries),
    ("tombolo", May::UseLibraries),
    ("tombolo-e2e", May::UseLibraries),
    // It measures parts of the agent that nobody can reach from outside of its process.
    ("tombolo-bench", May::UseLibrariesAnd(&["tombolo-agent"])),
    ("xtask", May::UseLibraries),
];

/// One crate of the workspace and another that it uses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edge {
    from: String,
    /// `None` for a crate that uses none: it needs a place all the same.
    to: Option<String>,
}

/// Who uses whom within the workspace, in tests too.
pub(super) fn edges(metadata: &Metadata) -> Vec<Edge> {
    let members = metadata.workspace_packages();
    let ours = |name: &str| members.iter().any(|member| member.name.as_str() == name);
    let mut edges = Vec::new();
    for member in &members {
        edges.push(Edge { from: member.name.to_string(), to: None });
        let used = member.dependencies.iter().filter(|d| ours(&d.name));
        edges.extend(used.map(|d| Edge { from: member.name.to_string(), to: Some(d.name.clone()) }));
    }
    edges
}

/// One sentence for each arrow that points the wrong way.
pub(super) fn violations(edges: &[Edge]) -> Vec<String> {
    edges.iter().filter_map(violation).collect()
}

fn violation(Edge { from, to }: &Edge) -> Option<String> {
    let Some((_, may)) = ARROWS.iter().find(|(name, _)| name == from) else {
        let message = format!("crate {from} has no place among the crates; give it one in xtask/src/tidy/arrows.rs");
        return to.is_none().then_some(message);
    };
    let to = to.as_deref()?;
    let (allowed, list) = match may {
        May::Use([]) => (false, "none of ours".to_owned()),
        May::Use(names) => (names.contains(&to), names.join(", ")),
        May::UseLibraries => (!PROGRAMS.contains(&to), "libraries".to_owned()),
        May::UseLibrariesAnd(programs) => {
            (!PROGRAMS.contains(&to) || programs.contains(&to), format!("libraries and {}", programs.join(", ")))
        }
    };
    (!allowed).then(|| format!("crate {from} must not depend on {to}; it may use {list}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Edge {
        Edge { from: from.to_owned(), to: Some(to.to_owned()) }
    }

    #[test]
    fn arrows_point_down_only() {
        let good = [
            edge("tombolo-api", "tombolo-core"),
            edge("tombolo-translate", "tombolo-registry"),
            edge("tombolo", "tombolo-controlplane"),
            edge("tombolo-bench", "tombolo-ca"),
            edge("tombolo-bench", "tombolo-agent"),
        ];
        assert_eq!(violations(&good), Vec::<String>::new());
        let bad = [
            edge("tombolo-core", "tombolo-api"),
            edge("tombolo-translate", "tombolo-xds"),
            edge("tombolo-xds", "tombolo-translate"),
            edge("tombolo-bench", "tombolo"),
            edge("tombolo", "tombolo-agent"),
        ];
        for edge in &bad {
            let found = violations(std::slice::from_ref(edge));
            let [message] = &found[..] else { panic!("{edge:?}: {found:?}") };
            assert!(message.contains(&edge.from) && message.contains(edge.to.as_deref().unwrap()), "{message}");
        }
    }

    #[test]
    fn a_crate_without_a_place_is_named_once() {
        let new = Edge { from: "tombolo-new".to_owned(), to: None };
        let found = violations(&[new, edge("tombolo-new", "tombolo-core")]);
        assert!(matches!(&found[..], [message] if message.contains("tombolo-new")), "{found:?}");
    }

    #[test]
    fn every_name_in_the_table_is_a_crate_of_the_table() {
        for (from, may) in ARROWS {
            let May::Use(names) = may else { continue };
            for name in *names {
                assert!(ARROWS.iter().any(|(known, _)| known == name), "{from} -> {name}");
            }
        }
    }
}
