//! Where things are.

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use std::path::Path;

/// The workspace's directory.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// What cargo knows of the workspace and of all that it depends on here. Nothing is fetched or updated: crates of other
/// platforms need not be there.
pub(crate) fn metadata() -> Result<Metadata> {
    MetadataCommand::new()
        .current_dir(root())
        .other_options(["--locked", "--offline", "--filter-platform=host-tuple"].map(str::to_owned))
        .exec()
        .context("cargo metadata failed; build the workspace once, so that Cargo.lock and its crates are there")
}

/// A dependency by name.
pub(crate) fn package<'a>(metadata: &'a Metadata, name: &str) -> Result<&'a Package> {
    metadata
        .packages
        .iter()
        .find(|p| p.name.as_str() == name)
        .with_context(|| format!("the workspace does not depend on {name}"))
}
