//! Installs and upgrades control planes.

fn main() {}
