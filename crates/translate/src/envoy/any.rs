//! The small values that every message is made of.

use prost::{Message, Name};
use std::{net::IpAddr, time::Duration};
use tombolo_proto::envoy::{
    envoy::{
        config::core::v3::{
            Address, AggregatedConfigSource, ApiVersion, ConfigSource, SocketAddress, address, config_source,
            socket_address,
        },
        r#type::matcher::v3::RegexMatcher,
    },
    google::protobuf,
};

/// A message packed with its type, as Envoy takes extensions.
pub(crate) fn any<M: Message + Name>(message: &M) -> protobuf::Any {
    protobuf::Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// A span of time. What does not fit, is for ever as far as a proxy can tell.
pub(crate) fn duration(span: Duration) -> protobuf::Duration {
    // A nanosecond count below a second always fits.
    let nanos = i32::try_from(span.subsec_nanos()).unwrap_or_default();
    protobuf::Duration { seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX), nanos }
}

/// Seconds.
pub(crate) fn seconds(seconds: u64) -> Option<protobuf::Duration> {
    Some(duration(Duration::from_secs(seconds)))
}

/// A number that is told apart from an absent one.
pub(crate) fn uint32(value: u32) -> Option<protobuf::UInt32Value> {
    Some(protobuf::UInt32Value { value })
}

/// A truth value that is told apart from an absent one.
pub(crate) fn boolean(value: bool) -> Option<protobuf::BoolValue> {
    Some(protobuf::BoolValue { value })
}

/// A TCP address.
pub(crate) fn socket_address(ip: IpAddr, port: u16) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: ip.to_string(),
            port_specifier: Some(socket_address::PortSpecifier::PortValue(port.into())),
            ..Default::default()
        })),
    }
}

/// From the stream that everything comes from, waited for as long as it takes: whoever names a resource keeps its old
/// content until the new one is whole, and never goes on without it.
pub(crate) fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        initial_fetch_timeout: seconds(0),
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    }
}

/// A regular expression in RE2's syntax, which must match as a whole.
pub(crate) fn regex(pattern: &str) -> RegexMatcher {
    RegexMatcher { regex: pattern.to_owned(), ..Default::default() }
}
