//! An Envoy that starts from our own bootstrap.

use super::admin;
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};
use tempfile::TempDir;
use tombolo_proto::bootstrap::{Bootstrap, Endpoint, Limits};

/// What an Envoy says of itself.
pub(crate) struct Node<'a> {
    /// Its node id.
    pub(crate) id: &'a str,
    /// Its metadata.
    pub(crate) metadata: serde_json::Map<String, serde_json::Value>,
}

/// A running Envoy, with its files. Ends when dropped.
pub(crate) struct Process {
    child: Child,
    admin: PathBuf,
    directory: TempDir,
}

impl Process {
    /// Starts it: `discovery` is the control plane, `sds` the agent's socket.
    pub(crate) fn start(envoy: &Path, node: Node<'_>, discovery: SocketAddr, sds: PathBuf) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (admin, file) = (directory.path().join("admin"), directory.path().join("bootstrap.json"));
        let bootstrap = Bootstrap {
            node_id: node.id.to_owned(),
            node_cluster: "test".to_owned(),
            metadata: node.metadata,
            discovery: Endpoint::Tcp(discovery),
            sds: Some(sds),
            admin: Endpoint::Unix(admin.clone()),
            limits: Limits::default(),
        };
        fs::write(&file, bootstrap.to_json().to_string()).map_err(|error| error.to_string())?;
        let mut command = Command::new(envoy);
        command.arg("-c").arg(file).arg("--log-path").arg(directory.path().join("log"));
        command.args(["--log-level", "warn", "--concurrency", "1", "--disable-hot-restart"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| error.to_string())?;
        Ok(Self { child, admin, directory })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, String> {
        self.child.try_wait().map_err(|error| error.to_string())
    }

    /// Every counter and gauge; none before it answers.
    pub(crate) fn stats(&self) -> BTreeMap<String, u64> {
        admin::stats(&self.admin).unwrap_or_default()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
