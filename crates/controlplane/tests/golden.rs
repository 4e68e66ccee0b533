//! Golden cases: `golden/<case>/in.yaml` holds manifests, the files beside it what becomes of them.
//!
//! `cargo xtask golden` makes the records anew. Every case is then tried on a real Envoy, twice: inlined into a static
//! bootstrap, and served over ADS.

#[path = "support/mod.rs"]
mod support;

use std::net::{IpAddr, Ipv4Addr};
use support::{
    case::Case,
    envoy, inline,
    record::{settle, stale_cases},
    served::Server,
};
use tombolo_translate::Bind;

#[test]
fn everything_is_as_recorded() {
    let differences = Case::all().into_iter().flat_map(|case| settle(&case, &case.translate(|_| None)));
    let differences: Vec<String> = differences.chain(stale_cases()).collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn a_real_envoy_accepts_everything_inlined() {
    let Some(envoy) = envoy::binary() else { return };
    let mut refused = Vec::new();
    for case in Case::all() {
        for (proxy, resources) in case.translate(|_| None).proxies {
            if let Err(said) = envoy::validate(&envoy, &inline::bootstrap(&resources)) {
                refused.push(format!("{} {proxy}: {said}", case.name));
            }
        }
    }
    assert!(refused.is_empty(), "\n{}", refused.join("\n"));
}

#[test]
fn a_real_envoy_takes_everything_over_ads_and_nothing_stays_warming() {
    let Some(envoy) = envoy::binary() else { return };
    let server = Server::start();
    let failed = Case::all().into_iter().enumerate().flat_map(|(number, case)| {
        // An address for each gateway: two that listen on one port must not meet.
        let address = |gateway: usize| IpAddr::V4(Ipv4Addr::new(127, 77, octet(number), octet(gateway) + 1));
        let bind = |gateway| Some(Bind { address: address(gateway), ..Bind::loopback(20_000) });
        server.try_all(&envoy, &case.name, &case.translate(bind))
    });
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

fn octet(number: usize) -> u8 {
    u8::try_from(number).expect("fewer cases than addresses")
}
