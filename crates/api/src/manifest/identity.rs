//! What kind of thing a document is, before it is read: one of ours, one to come, another's, or a mistake.

use super::nearest::nearest;
use crate::{Kind, Report};
use tombolo_core::FieldPath;

/// Groups of which every kind is known by name, with those that are not read here.
///
/// In a group that is not listed, every kind is somebody else's.
const GROUPS: &[Group] = &[
    Group {
        name: "gateway.networking.k8s.io",
        planned: &["BackendTLSPolicy", "GRPCRoute", "ListenerSet", "TCPRoute", "TLSRoute", "UDPRoute"],
        foreign: &[],
    },
    Group {
        name: "gateway.networking.x-k8s.io",
        planned: &["XBackend", "XBackendTrafficPolicy", "XListenerSet", "XMesh"],
        foreign: &[],
    },
    Group {
        name: "networking.istio.io",
        planned: &["DestinationRule", "EnvoyFilter", "Gateway", "ProxyConfig", "Sidecar", "VirtualService"],
        foreign: &[],
    },
    Group {
        name: "security.istio.io",
        planned: &["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"],
        foreign: &[],
    },
    Group { name: "telemetry.istio.io", planned: &["Telemetry"], foreign: &[] },
    Group { name: "extensions.istio.io", planned: &["WasmPlugin"], foreign: &[] },
    Group { name: "mesh.tombolo.dev", planned: &["MeshRevision", "MeshRevisionTag"], foreign: &[] },
    Group { name: "discovery.k8s.io", planned: &[], foreign: &[] },
    Group {
        name: "",
        planned: &["Endpoints"],
        foreign: &[
            "Binding",
            "ComponentStatus",
            "Event",
            "LimitRange",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "ServiceAccount",
        ],
    },
];

struct Group {
    name: &'static str,
    /// Understood, and without effect so far: a warning says so.
    planned: &'static [&'static str],
    /// Nothing that a mesh would read.
    foreign: &'static [&'static str],
}

/// The kind that is to be read, if it is one that is read here; the report says why not, except for another's kind.
pub(super) fn identify(api_version: &str, name: &str, report: &mut Report) -> Option<Kind> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    if let Some(kind) = Kind::find(group, name) {
        let served = kind.versions().contains(&version);
        if !served {
            wrong_version(kind, version, report);
        }
        return served.then_some(kind);
    }
    let group = GROUPS.iter().find(|g| g.name == group)?;
    if group.planned.contains(&name) {
        let message = format!("{name} is not supported yet and has no effect");
        report.warning(FieldPath::from("kind"), "UnsupportedKind", message, instead_of(name));
    } else if !group.foreign.contains(&name) {
        unknown_kind(group, name, report);
    }
    None
}

fn wrong_version(kind: Kind, version: &str, report: &mut Report) {
    let served = kind.versions().join(", ");
    report.error(
        FieldPath::from("apiVersion"),
        "UnknownVersion",
        format!("{kind} has no version {version:?}; there are {served}"),
        format!("use {}", kind.api_version()),
    );
}

fn instead_of(name: &str) -> &'static str {
    match name {
        "Endpoints" => "write an EndpointSlice of discovery.k8s.io/v1",
        "VirtualService" => "write an HTTPRoute of gateway.networking.k8s.io/v1",
        "Gateway" => "write a Gateway of gateway.networking.k8s.io/v1",
        _ => "remove it, or leave it for later",
    }
}

fn unknown_kind(group: &Group, name: &str, report: &mut Report) {
    let shown = super::wording::shorten(name);
    if let Some(kind) = Kind::ALL.into_iter().find(|k| k.name() == name) {
        let message = format!("kind {shown} is not in group {:?}", group.name);
        report.error(FieldPath::from("apiVersion"), "UnknownKind", message, format!("use {}", kind.api_version()));
        return;
    }
    let read = Kind::ALL.into_iter().filter(|k| k.group() == group.name).map(Kind::name);
    let known: Vec<&str> = read.chain(group.planned.iter().chain(group.foreign).copied()).collect();
    let fix = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("use one of {}", known.join(", ")),
    };
    let message = format!("group {:?} has no kind {shown:?}", group.name);
    report.error(FieldPath::from("kind"), "UnknownKind", message, fix);
}
