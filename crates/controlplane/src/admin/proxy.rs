//! What one proxy has been told: names and versions, or all of it. Secret values are redacted.

use super::{Page, json, text};
use hyper::StatusCode;
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};
use tombolo_proto::Resource;
use tombolo_xds::{Hub, ProxyReport};

/// What is asked for: `proxy=ID&type=cds&name=NAME`, escaped as in forms. All but the proxy may be absent.
struct Query<'a>(BTreeMap<Cow<'a, str>, Cow<'a, str>>);

impl<'a> Query<'a> {
    fn read(query: Option<&'a str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect())
    }

    /// True where nothing else is asked for than this.
    fn wants(&self, field: &str, value: &str) -> bool {
        self.0.get(field).is_none_or(|wanted| *wanted == value)
    }

    /// Likewise of types. Names come one by one, or as a table: one word stands for both.
    fn wants_type(&self, kind: &str) -> bool {
        self.wants("type", kind) || self.wants("type", kind.trim_end_matches("-table"))
    }

    /// The proxy that is asked for. Of two streams of one proxy, the younger: the other one is about to end.
    fn proxy(&self, hub: &Hub) -> Result<ProxyReport, Page> {
        let Some(id) = self.0.get("proxy") else {
            return Err(text(StatusCode::BAD_REQUEST, "name a proxy: ?proxy=ID, see /debug/proxies\n".to_owned()));
        };
        let named = hub.proxies().into_iter().filter(|proxy| *proxy.proxy == **id);
        let youngest = named.min_by_key(|proxy| proxy.connected_seconds);
        youngest.ok_or_else(|| text(StatusCode::NOT_FOUND, format!("no proxy {id} is connected here\n")))
    }
}

/// The names of all that a proxy asked for, with the versions that it holds and is to hold.
pub(super) fn resources(hub: &Hub, query: Option<&str>) -> Page {
    let query = Query::read(query);
    let proxy = match query.proxy(hub) {
        Ok(proxy) => proxy,
        Err(page) => return page,
    };
    let mut all = hub.resources(proxy.connection);
    all.retain(|one| query.wants_type(one.kind) && query.wants("name", &one.name));
    json(Ok(json!(all)))
}

/// The content of all that a proxy is to hold.
pub(super) async fn config(hub: &Hub, query: Option<&str>) -> Page {
    let query = Query::read(query);
    let proxy = match query.proxy(hub) {
        Ok(proxy) => proxy,
        Err(page) => return page,
    };
    let mut all = hub.contents(proxy.connection, |kind| query.wants_type(kind.short()));
    all.retain(|one| query.wants("name", one.name()));
    // As much as a proxy holds, which may be tens of megabytes: streams are served meanwhile.
    let shown = tokio::task::spawn_blocking(move || Value::Array(all.iter().map(|one| shown(one)).collect()));
    match shown.await {
        Ok(all) => json(Ok(all)),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn shown(resource: &Resource) -> Value {
    json!({
        "type": resource.kind().short(),
        "name": &**resource.name(),
        "version": resource.version().to_string(),
        "resource": tombolo_proto::json::to_json(resource),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_wants_what_it_names_and_all_where_it_names_nothing() {
        let query = Query::read(Some("proxy=sidecar~10.0.0.1~a.b~b.svc&type=cds&name=outbound%7C80&junk"));
        assert!(query.wants_type("cds") && !query.wants_type("eds") && query.wants("name", "outbound|80"));
        assert_eq!(query.0["proxy"], "sidecar~10.0.0.1~a.b~b.svc");
        let names = Query::read(Some("type=nds"));
        assert!(names.wants_type("nds") && names.wants_type("nds-table") && !names.wants_type("cds"));
        assert!(Query::read(None).wants_type("eds") && Query::read(None).wants("name", "any"));
    }
}
