//! Ports that stay free until somebody is told to listen on them.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Ports that the kernel gives to nobody by itself: its own begin at 32768. One that it gave may be given again, to any
/// connection, before its listener comes; tests that make many connections met that.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;
/// So that tests of several processes look at different ones.
const APART: u32 = 397;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Ports that nobody has.
#[allow(dead_code)] // some tests need one only
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    (0..count).map(|_| free_port()).collect()
}

/// A port that nobody has. No two calls of a process give the same.
pub(crate) fn free_port() -> u16 {
    let next =
        || FIRST + (process::id().wrapping_mul(APART).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed))) % COUNT;
    let mut candidates = (0..COUNT).map(|_| u16::try_from(next()).unwrap());
    candidates.find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()).expect("a free port")
}
