//! The mesh's mutual TLS, and what listens for a workload.

use super::Protocol;
use serde::Serialize;
use std::{net::IpAddr, sync::Arc};
use tombolo_core::Port;

/// How a cluster's endpoints that have a proxy are spoken to: each side shows its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeshTls {
    /// The secret that says who may answer.
    pub identities: String,
    /// The name to ask for (SNI).
    pub server_name: String,
}

/// What a workload's proxy listens for on the workload's behalf, at one port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inbound {
    /// The workload's address.
    pub address: IpAddr,
    /// The port, of the listener as of the application.
    pub port: Port,
    /// What is spoken there, inside TLS or without it.
    pub protocol: Protocol,
    /// The trust domains whose workloads are let in by mutual TLS; none where nobody has a certificate.
    pub trust_domains: Vec<Arc<str>>,
    /// Whether others are let in too: in plaintext, or by a TLS that the application itself ends.
    pub others: bool,
}
