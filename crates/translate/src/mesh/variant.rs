//! Kinds of proxies that see endpoints differently.

use std::sync::Arc;

/// What of a proxy may change which endpoints it sees, or in which order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variant {
    /// Its zone; empty where unknown.
    pub zone: Arc<str>,
    /// Its node; empty where unknown.
    pub node: Arc<str>,
    /// Whether it reaches IPv4 addresses.
    pub ipv4: bool,
    /// Whether it reaches IPv6 addresses.
    pub ipv6: bool,
}
