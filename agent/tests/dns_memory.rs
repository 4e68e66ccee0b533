//! What names cost: an agent runs beside every workload, so the table's size is multiplied by their number.
#![allow(clippy::unwrap_used, clippy::panic)]

use tikv_jemalloc_ctl::{epoch, stats};
use tombolo_agent::dns::{Scope, Table};
use tombolo_proto::agent::{NameInfo, NameTable};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const NAMES: usize = 10_000;
const BOUND: usize = 3 << 20;

fn live() -> usize {
    epoch::advance().unwrap();
    stats::allocated::read().unwrap()
}

fn info(n: usize) -> (String, NameInfo) {
    let (shortname, namespace) = (format!("some-service-{n}"), format!("namespace-{}", n % 100));
    let host = format!("{shortname}.{namespace}.svc.cluster.local");
    let ips = vec![format!("10.96.{}.{}", n / 256, n % 256), format!("2001:db8::{n:x}")];
    (host, NameInfo { ips, registry: "Kubernetes".into(), shortname, namespace })
}

/// The only test of its process: what others allocate meanwhile would be counted too.
#[test]
fn ten_thousand_names_are_small() {
    let before = live();
    let mut table = Table::new(Scope::new("shop", "cluster.local", ["shop.svc.cluster.local"]));
    for n in 0..NAMES {
        let (host, info) = info(n);
        table.apply(&host, Some(&info));
    }
    let cost = live() - before;
    println!("{cost} bytes for {NAMES} names, {} each", cost / NAMES);
    assert_eq!(table.len(), NAMES);
    assert!(cost < BOUND, "{cost} bytes for {NAMES} names, {} each", cost / NAMES);

    // Names that change, come and go leave nothing behind.
    for round in 1..4 {
        for n in 0..NAMES {
            let (host, mut info) = info(n);
            info.ips.push(format!("10.97.{round}.1"));
            table.apply(&host, None);
            table.apply(&host, Some(&info));
        }
    }
    let cost = live() - before;
    assert!(cost < BOUND, "{cost} bytes after changes");

    // A whole table in place of it, as Istio's control planes send it.
    let names = NameTable { table: (0..NAMES).map(info).collect() };
    table = table.replaced(&names);
    drop(names);
    let cost = live() - before;
    assert!(cost < BOUND, "{cost} bytes after it was replaced");
    for n in 0..NAMES {
        table.apply(&info(n).0, None);
    }
    let cost = live() - before;
    assert!(table.is_empty() && cost < BOUND / 10, "{cost} bytes for nothing");
}
