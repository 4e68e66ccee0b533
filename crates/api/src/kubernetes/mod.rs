//! Kubernetes' own kinds, slim: only what is read.

pub(crate) mod check;
mod config_map;
mod endpoint_slice;
mod namespace;
mod secret;
mod service;
pub mod tls;
mod unread;

pub use config_map::ConfigMap;
pub use endpoint_slice::{AddressType, Conditions, Endpoint, EndpointPort, EndpointSlice, Hint, Hints};
pub use namespace::Namespace;
pub use secret::{Bytes, Secret, TLS_CERT_KEY, TLS_PRIVATE_KEY_KEY, TLS_SECRET};
pub use service::{Service, ServicePort, ServiceType, TargetPort, Transport};

/// Labels of an EndpointSlice: the Service that it belongs to.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
