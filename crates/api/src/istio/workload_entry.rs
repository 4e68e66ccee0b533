//! WorkloadEntry: one workload outside Kubernetes, such as a virtual machine.

use super::{check_metadata, domain};
use crate::{Object, Report, kubernetes::check};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tombolo_core::{FieldPath, Port};

/// What an address on this machine begins with.
const UNIX: &str = "unix://";

/// `WorkloadEntry`, also inline as an endpoint of a ServiceEntry and as the template of a WorkloadGroup.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.address) || !self.address.startsWith('unix://') || !has(self.ports) || size(self.ports) == 0",
    "message": "a Unix socket has no ports",
}]))]
pub struct WorkloadEntry {
    /// An IP, a name (with DNS resolutions), or `unix:///path`. May be empty where `network` is set.
    #[schemars(length(max = 256), extend("x-kubernetes-validations" = [{
        "rule": "!self.startsWith('unix://') || ((self.startsWith('unix:///') || self.startsWith('unix://@')) && !self.endsWith('/'))",
        "message": "a Unix socket is an absolute path to a file, or an abstract name after '@'",
    }]))]
    pub address: Arc<str>,
    /// Its port for each named port of a service, where it differs.
    #[schemars(with = "BTreeMap<String, u16>", extend(
        "maxProperties" = 128,
        "additionalProperties" = {"type": "integer", "minimum": 1, "maximum": 65535},
        "x-kubernetes-validations" = [{
            "rule": "self.all(k, size(k) < 63 && k.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))",
            "message": "a port's name has letters, digits and inner hyphens, at most 62",
        }],
    ))]
    pub ports: BTreeMap<Arc<str>, Port>,
    /// Its labels, besides those of its metadata.
    #[schemars(extend("maxProperties" = 256))]
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Networks whose workloads reach each other directly have one name.
    #[schemars(length(max = 2048))]
    pub network: Arc<str>,
    /// `region/zone/subzone`
    #[schemars(length(max = 2048))]
    pub locality: Arc<str>,
    /// Its share of traffic, relative to the other endpoints'; 1 where absent.
    pub weight: u32,
    /// Whose identity it has: a ServiceAccount of its namespace.
    #[schemars(length(max = 253))]
    pub service_account: Arc<str>,
}

// `Spec` is not imported: its `default` would stand beside `Default`'s.
impl crate::Spec for WorkloadEntry {
    fn validate(object: &Object<Self>, report: &mut Report) {
        check_metadata(&object.metadata, report);
        let field = FieldPath::from("spec");
        object.spec.check_limits(&field, report);
        object.spec.check_address(&field, Names::Allowed, report);
    }
}

/// Whether an address may be a name: the resolution of the service decides, where it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Allowed,
    Refused,
}

impl WorkloadEntry {
    /// True for a socket on the proxy's own machine.
    pub fn is_unix(&self) -> bool {
        self.address.starts_with(UNIX)
    }

    /// Checks all but whether the address is there and of the kind that is needed.
    pub(super) fn check_limits(&self, field: &FieldPath, report: &mut Report) {
        check::no_longer(report, &field.key("address"), &self.address, 256);
        check::no_longer(report, &field.key("network"), &self.network, 2048);
        check::no_longer(report, &field.key("locality"), &self.locality, 2048);
        check::no_longer(report, &field.key("serviceAccount"), &self.service_account, 253);
        check::at_most(report, &field.key("ports"), self.ports.len(), 128);
        check::at_most(report, &field.key("labels"), self.labels.len(), 256);
        check::labels(report, &field.key("labels"), &self.labels);
        let ports = field.key("ports");
        for name in self.ports.keys().filter(|n| n.len() > 62 || !check::is_any_case_label(n)) {
            let message = format!("{name:?} cannot be the name of a port");
            report.error(ports.key(name), "InvalidValue", message, "use letters, digits and inner hyphens, at most 62");
        }
        self.check_unix(field, report);
    }

    fn check_unix(&self, field: &FieldPath, report: &mut Report) {
        let Some(path) = self.address.strip_prefix(UNIX) else { return };
        if !path.starts_with('@') && (!path.starts_with('/') || path.ends_with('/')) {
            let message = format!("{path:?} is not an absolute path to a file");
            report.error(field.key("address"), "InvalidValue", message, "write unix:///path, or unix://@name");
        }
        if !self.ports.is_empty() {
            report.error(field.key("ports"), "Conflict", "a Unix socket has no ports", "remove ports");
        }
    }

    /// Checks that the address is there, and what it is.
    pub(super) fn check_address(&self, field: &FieldPath, names: Names, report: &mut Report) {
        let at = field.key("address");
        match (self.address.is_empty(), self.network.is_empty()) {
            (true, true) => {
                report.error(at, "Required", "neither address nor network is set", "set address");
            }
            (true, false) => {
                let message =
                    format!("without an address it is reached through a gateway of network {:?}", self.network);
                report.warning(at, "Ineffective", message, "set address where it can be reached directly");
            }
            _ if self.is_unix() || check::ip(&self.address).is_some() => {}
            _ if names == Names::Refused => {
                let message = format!("{:?} is not an IP address", self.address);
                report.error(at, "InvalidValue", message, "use an IP address, or resolution DNS");
            }
            _ => self.check_name(&at, report),
        }
    }

    /// Checks an address that is to be looked up.
    pub(super) fn check_name(&self, at: &FieldPath, report: &mut Report) {
        if let Some(reason) = domain::refused(&self.address) {
            let message = format!("{:?} is neither an IP address nor a domain name: {reason}", self.address);
            report.error(at.clone(), "InvalidValue", message, "use an IP address or a fully qualified domain name");
        }
    }

    /// Checks that each of its ports is one of the service's.
    pub(super) fn check_port_names(&self, field: &FieldPath, service: &BTreeSet<&str>, report: &mut Report) {
        for name in self.ports.keys().filter(|name| !service.contains(&***name)) {
            let message = format!("the service has no port named {name:?}");
            report.error(field.key("ports").key(name), "UnknownPort", message, "use the name of a port of spec.ports");
        }
    }
}
