//! How hard properties are tried. The same cases every time: a failure can be had again.

use proptest::test_runner::{Config, RngSeed};

/// For what is cheap and is given by others: 100,000 cases, or more by `PROPTEST_CASES`.
pub(crate) fn many() -> Config {
    with(100_000)
}

/// For the rest: 500 cases, or more by `PROPTEST_CASES`.
pub(crate) fn some() -> Config {
    with(500)
}

fn with(cases: u32) -> Config {
    let default = Config::default();
    let more = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 0 };
    Config { cases: cases.max(more), failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..default }
}
