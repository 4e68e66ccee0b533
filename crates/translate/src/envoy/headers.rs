//! Changes of headers.

use std::{collections::BTreeSet, sync::Arc};
use tombolo_api::gateway::{HeaderModifier, HttpHeader};
use tombolo_proto::envoy::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction,
};

/// Changes of headers, in Envoy's terms. It removes first, then adds.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) add: Vec<HeaderValueOption>,
    pub(super) remove: Vec<String>,
    /// The new `Host`: Envoy changes it elsewhere, and refuses a route that would change it as a header.
    pub(super) host: Option<String>,
}

impl Changes {
    pub(super) fn of_request(modifier: &HeaderModifier) -> Self {
        let host = modifier.set.iter().chain(&modifier.add).find(|header| is_host(&header.name));
        Self { host: host.map(|header| header.value.to_string()), ..Self::of_response(modifier) }
    }

    pub(super) fn of_response(modifier: &HeaderModifier) -> Self {
        let option = |header: &HttpHeader, action: HeaderAppendAction| HeaderValueOption {
            header: Some(HeaderValue {
                key: header.name.to_string(),
                // A percent sign begins a variable of Envoy's; two are one.
                value: header.value.replace('%', "%%"),
                ..Default::default()
            }),
            append_action: action.into(),
            ..Default::default()
        };
        let set = modifier.set.iter().map(|header| (header, HeaderAppendAction::OverwriteIfExistsOrAdd));
        let add = modifier.add.iter().map(|header| (header, HeaderAppendAction::AppendIfExistsOrAdd));
        let both = set.chain(add).filter(|(header, _)| !is_host(&header.name));
        Self {
            add: both.map(|(header, action)| option(header, action)).collect(),
            remove: modifier.remove.iter().filter(|name| !is_host(name)).map(ToString::to_string).collect(),
            host: None,
        }
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

/// Of several entries for one name the first counts (Gateway API, `HTTPRouteMatch.headers` and `queryParams`).
pub(super) fn first_of_each<T>(entries: &[T], name: impl Fn(&T) -> &Arc<str>) -> impl Iterator<Item = &T> {
    let mut seen = BTreeSet::new();
    entries.iter().filter(move |entry| seen.insert(name(entry).clone()))
}
