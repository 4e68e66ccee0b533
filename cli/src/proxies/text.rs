//! What people see: tables.

use super::{
    fleet::{Fleet, Found, OfType, State},
    watching,
};
use crate::terminal::{Style, count, paint};
use serde::Deserialize;
use tombolo_core::{ProxyId, ProxyKind};

/// Types by their columns; names for agents come one by one, or as a table.
const TYPES: [(&str, &[&str]); 6] = [
    ("CDS", &["cds"]),
    ("EDS", &["eds"]),
    ("LDS", &["lds"]),
    ("RDS", &["rds"]),
    ("SDS", &["sds"]),
    ("NDS", &["nds", "nds-table"]),
];

/// One resource, as `/debug/resources` says it.
#[derive(Debug, Deserialize)]
pub(super) struct Resource {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    held: Option<String>,
    current: Option<String>,
}

/// Every proxy, what they reject, who said nothing, and a sum.
pub(super) fn fleet(fleet: &Fleet, source: &str) -> Vec<String> {
    let proxies: Vec<_> = fleet.proxies().collect();
    let mut rows = vec![
        ["PROXY", "KIND"]
            .into_iter()
            .chain(TYPES.map(|(title, _)| title))
            .chain(["AGE", "REPLICA", "REVISION"])
            .map(plain)
            .collect(),
    ];
    rows.extend(proxies.iter().map(row));
    let mut lines = if proxies.is_empty() { Vec::new() } else { table(&rows) };
    lines.extend(proxies.iter().flat_map(rejections));
    lines.extend(
        fleet.silent().map(|(replica, why)| paint(Style::Yellow, &format!("unreachable: {}: {why}", replica.name))),
    );
    let cut_off =
        fleet.unwatched().map(|(replica, kinds)| format!("cut off: {}: {}", replica.name, watching::words(kinds)));
    lines.extend(cut_off.map(|line| paint(Style::Yellow, &line)));
    let answered = fleet.replicas() - fleet.silent().count();
    let verb = if proxies.len() == 1 { "is" } else { "are" };
    lines.push(format!(
        "{} {verb} connected to {answered} of {} ({source})",
        proxy_count(proxies.len()),
        count(fleet.replicas(), "replica")
    ));
    lines
}

fn proxy_count(n: usize) -> String {
    if n == 0 { "no proxies".to_owned() } else { count(n, "proxy") }
}

/// A cell, and how it stands out.
type Cell = (String, Option<Style>);

fn plain(text: &str) -> Cell {
    (text.to_owned(), None)
}

fn row(found: &Found<'_>) -> Vec<Cell> {
    let kind = match found.connected.proxy.parse::<ProxyId>().map(|id| id.kind) {
        Ok(ProxyKind::Gateway) => "gateway",
        Ok(ProxyKind::Sidecar) => "sidecar",
        Err(_) => "-",
    };
    let states = TYPES.iter().map(|(_, kinds)| {
        let of = found.connected.types.iter().filter(|of| kinds.contains(&&*of.kind));
        of.map(OfType::state).max().map_or_else(|| plain("-"), state)
    });
    let ends = [age(found.connected.connected_seconds), found.replica.name.clone(), found.replica.revision.clone()];
    [plain(found.name), plain(kind)].into_iter().chain(states).chain(ends.map(|text| (text, None))).collect()
}

fn state(state: State) -> Cell {
    let (text, style) = match state {
        State::Synced => ("SYNCED", Style::Green),
        State::Stale => ("STALE", Style::Yellow),
        State::Waiting => ("WAITING", Style::Yellow),
        State::Rejected => ("REJECTED", Style::Red),
    };
    (text.to_owned(), Some(style))
}

fn rejections(found: &Found<'_>) -> Vec<String> {
    let one = |of: &OfType| {
        let line = |rejected: &super::fleet::Rejected| {
            let place = format!("{} rejects {} {} at version {}", found.name, of.kind, rejected.name, rejected.version);
            format!("{} {place}: {}", paint(Style::Red, "rejected:"), rejected.message)
        };
        of.rejected.iter().map(line).collect::<Vec<_>>()
    };
    found.connected.types.iter().flat_map(one).collect()
}

/// Names and versions of what one proxy asked for.
pub(super) fn resources(found: Found<'_>, resources: &[Resource]) -> Vec<String> {
    let titles = ["TYPE", "NAME", "VERSION", "STATE"].map(plain).to_vec();
    let rows = resources.iter().map(|resource| {
        let version = resource.current.as_deref().or(resource.held.as_deref()).unwrap_or("-");
        vec![plain(&resource.kind), plain(&resource.name), plain(version), resource.state()]
    });
    let rows: Vec<_> = [titles].into_iter().chain(rows).collect();
    let mut lines = if resources.is_empty() { Vec::new() } else { table(&rows) };
    let sum = count(resources.len(), "resource");
    lines.push(format!("{sum} of {}, served by {}", found.name, found.replica.name));
    lines
}

impl Resource {
    fn state(&self) -> Cell {
        match (&self.held, &self.current) {
            (Some(held), Some(current)) if held == current => state(State::Synced),
            (_, Some(_)) => state(State::Stale),
            (Some(_), None) => ("GOING".to_owned(), Some(Style::Yellow)),
            (None, None) => ("ABSENT".to_owned(), Some(Style::Dim)),
        }
    }
}

/// Columns as wide as their widest cell. Colour has no width.
fn table(rows: &[Vec<Cell>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<Cell>| {
        let cells = row.iter().zip(&widths).map(|((text, style), width)| {
            let padded = format!("{text:width$}");
            style.map_or_else(|| padded.clone(), |style| paint(style, &padded))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// `45s`, `12m`, `3h`, `9d`
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::source::Replica, *};
    use serde_json::json;

    fn answered(types: &serde_json::Value) -> Fleet {
        let proxies = json!([{"proxy": "router~10.0.0.1~edge.shop~x", "protocol": "delta", "connected_seconds": 75, "types": types}]);
        let replica = |name: &str| Replica { name: name.into(), revision: "default".into() };
        let lost = (replica("tombolo-discovery-b"), Err(anyhow::anyhow!("connection refused")));
        Fleet::of(vec![(replica("tombolo-discovery-a"), Ok(proxies.to_string().into())), lost]).unwrap()
    }

    #[test]
    fn a_proxy_is_a_row_and_what_is_wrong_a_line() {
        let types = json!([
            {"type": "cds"},
            {"type": "rds", "rejected": [{"name": "http.80", "version": "0a1b", "message": "no such filter"}]},
            {"type": "nds-table", "pending": 1},
        ]);
        let lines = fleet(&answered(&types), "context kind");
        let expected = [
            "PROXY      KIND     CDS     EDS  LDS  RDS       SDS  NDS    AGE  REPLICA              REVISION",
            "edge.shop  gateway  SYNCED  -    -    REJECTED  -    STALE  75s  tombolo-discovery-a  default",
            "rejected: edge.shop rejects rds http.80 at version 0a1b: no such filter",
            "unreachable: tombolo-discovery-b: connection refused",
            "1 proxy is connected to 1 of 2 replicas (context kind)",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn who_is_cut_off_from_the_api_server_is_told() {
        let mut fleet = answered(&json!([]));
        let replica = |name: &str| Replica { name: name.into(), revision: "default".into() };
        let page = "tombolo_watch_failing{kind=\"Gateway\",purpose=\"objects\"} 1\n";
        let lost = (replica("tombolo-discovery-b"), Err(anyhow::anyhow!("connection refused")));
        fleet.watch(vec![(replica("tombolo-discovery-a"), Ok(page.into())), lost]);
        let lines = super::fleet(&fleet, "context kind");
        let expected = "cut off: tombolo-discovery-a: cannot watch Gateway, and goes on with what it read last";
        assert_eq!(lines.iter().filter(|line| line.contains("cut off")).collect::<Vec<_>>(), [expected]);
        assert!(serde_json::to_string(&fleet).unwrap().contains("\"unwatched\":[\"Gateway\"]"));
    }

    #[test]
    fn a_resource_is_a_row_with_its_state() {
        let all = json!([
            {"type": "cds", "name": "a", "held": "1", "current": "1"},
            {"type": "cds", "name": "b", "held": "1", "current": "2"},
            {"type": "cds", "name": "c", "held": "1", "current": null},
            {"type": "eds", "name": "d", "held": null, "current": null},
        ]);
        let all: Vec<Resource> = serde_json::from_value(all).unwrap();
        let fleet = answered(&json!([]));
        let lines = resources(fleet.find("edge").unwrap(), &all);
        let states: Vec<_> = lines[1..5].iter().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(states, ["SYNCED", "STALE", "GOING", "ABSENT"]);
        assert_eq!(lines[5], "4 resources of edge.shop, served by tombolo-discovery-a");
    }
}
