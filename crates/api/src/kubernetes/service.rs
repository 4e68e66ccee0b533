//! Service: a name, ports, and where its endpoints come from.

mod validate;

use super::unread::drop_unread;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use tombolo_core::Port;

/// `ServiceSpec`, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Service {
    /// How it is published.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// Its ports, named where there are several.
    pub ports: Vec<ServicePort>,
    /// The workloads behind it; where empty, its EndpointSlices are someone else's.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// `None` for headless, empty where not allocated.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Arc<str>,
    /// Both families' addresses.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<Arc<str>>,
    /// The name behind an `ExternalName`.
    pub external_name: Option<Arc<str>>,
    /// Endpoints count although they are not ready.
    pub publish_not_ready_addresses: bool,
    /// `PreferClose`, `PreferSameZone`, `PreferSameNode`: which endpoints a client should prefer.
    pub traffic_distribution: Option<Arc<str>>,
    /// `ClientIP` or `None`.
    pub session_affinity: Option<Arc<str>>,
    /// `Local` where a node takes requests from outside for its own endpoints alone; or `Cluster`.
    pub external_traffic_policy: Option<Arc<str>>,
}

/// `ServiceType`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)] // Kubernetes' own words
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// `ServicePort`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ServicePort {
    /// Empty where it is the only one.
    #[serde(default)]
    pub name: Arc<str>,
    /// Carries it.
    #[serde(default)]
    pub protocol: Transport,
    /// The port that clients use.
    pub port: Port,
    /// The workload's port; the same number where absent.
    pub target_port: Option<TargetPort>,
    /// What is spoken there: `http`, `kubernetes.io/h2c`, `kubernetes.io/ws`, …
    pub app_protocol: Option<Arc<str>>,
}

/// `Protocol`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)] // the protocols' own names
pub enum Transport {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// A workload's port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum TargetPort {
    Number(Port),
    Name(Arc<str>),
}

impl Service {
    /// True where a node takes requests from outside for its own endpoints alone.
    pub fn is_local(&self) -> bool {
        self.external_traffic_policy.as_deref() == Some("Local")
    }

    /// True for a Service without a virtual address.
    pub fn is_headless(&self) -> bool {
        &*self.cluster_ip == "None"
    }
}

drop_unread! { Service:
    "allocateLoadBalancerNodePorts" "externalIPs" "healthCheckNodePort" "internalTrafficPolicy"
    "ipFamilies" "ipFamilyPolicy" "loadBalancerClass" "loadBalancerIP" "loadBalancerSourceRanges"
    "sessionAffinityConfig"
}
drop_unread! { ServicePort: "nodePort" }
