//! The HTTP connection manager: how HTTP is spoken with those who call.

use super::{
    access_log::access_logs,
    any::{ads, any, boolean, seconds, uint32},
};
use crate::names;
use tombolo_api::mesh::AccessLog;
use tombolo_core::Port;
use tombolo_proto::envoy::{
    envoy::{
        config::{
            cluster::v3::cluster::DnsLookupFamily,
            core::v3::{
                DataSource, Http2ProtocolOptions, HttpProtocolOptions, Metadata, SubstitutionFormatString, data_source,
                http_protocol_options::HeadersWithUnderscoresAction, substitution_format_string,
            },
            listener::v3::{Filter, filter},
        },
        extensions::{
            common::dynamic_forward_proxy::v3::DnsCacheConfig,
            filters::{
                common::set_filter_state::v3::{FilterStateValue, filter_state_value},
                http::{cors::v3::Cors, router::v3::Router, set_filter_state::v3::Config as SetFilterState},
                network::http_connection_manager::v3::{
                    HttpConnectionManager, HttpFilter, Rds,
                    http_connection_manager::{
                        InternalAddressConfig, PathWithEscapedSlashesAction, RouteSpecifier,
                        ServerHeaderTransformation, UpgradeConfig,
                    },
                    http_filter,
                },
            },
        },
    },
    google::protobuf::{Any, Struct, Value, value},
};

/// The filter that answers preflight requests, for routes that say how under this name.
pub(crate) const CORS_FILTER: &str = "envoy.filters.http.cors";

/// What every connection manager of the mesh has: routes from a table, an access log, the filters that routes rely on.
pub(crate) fn connection_manager(
    stat_prefix: &str,
    table: &str,
    access_log: Option<&AccessLog>,
) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: stat_prefix.to_owned(),
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(ads()),
            route_config_name: table.to_owned(),
        })),
        access_log: access_logs(access_log),
        http_filters: vec![cors(), dynamic_port(), router()],
        upgrade_configs: vec![UpgradeConfig { upgrade_type: "websocket".to_owned(), ..Default::default() }],
        ..Default::default()
    }
}

/// A connection manager for callers that nobody knows, by Envoy's "Configuring Envoy as an edge proxy".
///
/// `trusted_proxies`: how many proxies of ours stand before this one, and so how many addresses at the end of
/// `X-Forwarded-For` are believed.
pub(crate) fn edge(manager: HttpConnectionManager, trusted_proxies: u32) -> HttpConnectionManager {
    HttpConnectionManager {
        // The caller is whoever connected, and what he says about himself (x-envoy-*, x-forwarded-*) is dropped.
        use_remote_address: boolean(true),
        xff_num_trusted_hops: trusted_proxies,
        internal_address_config: Some(InternalAddressConfig::default()),
        // One path, one spelling: a rule on /admin must not be walked around by //admin, /x/../admin or %2Fadmin.
        normalize_path: boolean(true),
        merge_slashes: true,
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::UnescapeAndRedirect.into(),
        // What answers is not told: a backend's own Server header passes, ours is not added.
        server_header_transformation: ServerHeaderTransformation::PassThrough.into(),
        common_http_protocol_options: Some(HttpProtocolOptions {
            idle_timeout: seconds(60 * 60),
            // `a_b` and `a-b` are one variable to many a CGI program: a caller could set what a proxy is trusted to set.
            headers_with_underscores_action: HeadersWithUnderscoresAction::RejectRequest.into(),
            ..Default::default()
        }),
        http2_protocol_options: Some(http2_limits()),
        stream_idle_timeout: seconds(5 * 60),
        // The time to send the headers, not the body: uploads may take as long as they move.
        request_headers_timeout: seconds(10),
        ..manager
    }
}

/// A connection manager as the last filter of a chain.
pub(crate) fn filter(manager: &HttpConnectionManager) -> Filter {
    Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(any(manager))),
    }
}

/// The cache of resolved names that every cluster of dynamic hosts shares. Such a cluster resolves the host that a request
/// names by itself: no filter is needed for that.
pub(crate) fn dns_cache() -> DnsCacheConfig {
    DnsCacheConfig {
        name: names::DNS_CACHE.to_owned(),
        dns_lookup_family: DnsLookupFamily::V4Preferred.into(),
        ..Default::default()
    }
}

/// What one connection may hold: enough for a busy client, little for one that means harm.
fn http2_limits() -> Http2ProtocolOptions {
    Http2ProtocolOptions {
        max_concurrent_streams: uint32(100),
        initial_stream_window_size: uint32(64 * 1024),
        initial_connection_window_size: uint32(1024 * 1024),
        ..Default::default()
    }
}

fn cors() -> HttpFilter {
    http_filter(CORS_FILTER, any(&Cors::default()))
}

/// A request names a host, and its cluster the port: requests to a cluster of dynamic hosts go to the service's port, not
/// to 80. A cluster without that metadata is left alone; a port that the request itself names wins.
fn dynamic_port() -> HttpFilter {
    let [namespace, key] = names::DYNAMIC_PORT;
    let port = SubstitutionFormatString {
        format: Some(substitution_format_string::Format::TextFormatSource(DataSource {
            specifier: Some(data_source::Specifier::InlineString(format!("%METADATA(CLUSTER:{namespace}:{key})%"))),
            ..Default::default()
        })),
        omit_empty_values: true,
        ..Default::default()
    };
    let value = FilterStateValue {
        key: Some(filter_state_value::Key::ObjectKey("envoy.upstream.dynamic_port".to_owned())),
        value: Some(filter_state_value::Value::FormatString(port)),
        skip_if_empty: true,
        ..Default::default()
    };
    let config = SetFilterState { on_request_headers: vec![value], ..Default::default() };
    http_filter("envoy.filters.http.set_filter_state", any(&config))
}

/// The metadata by which a cluster of dynamic hosts says the service's port.
pub(crate) fn dynamic_port_metadata(port: Port) -> Metadata {
    let [namespace, key] = names::DYNAMIC_PORT;
    let value = Value { kind: Some(value::Kind::StringValue(port.to_string())) };
    let fields = Struct { fields: [(key.to_owned(), value)].into() };
    Metadata { filter_metadata: [(namespace.to_owned(), fields)].into(), ..Default::default() }
}

pub(super) fn router() -> HttpFilter {
    // Callers are not told of tries and timings behind the gateway.
    let config = Router { suppress_envoy_headers: true, ..Default::default() };
    http_filter("envoy.filters.http.router", any(&config))
}

fn http_filter(name: &str, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}
