//! What must be known after a restart: which agents run, and where.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{File, TryLockError},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};
use tombolo_controlplane::{FileStore, Store, slug};
use tombolo_core::{NamespacedName, ProxyKind};
use tombolo_process::Identity;

const SECURE: &str = "listen.json";

/// A proxy: a Gateway's, or that of a workload outside Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProxyName {
    /// What it is for.
    pub(crate) kind: ProxyKind,
    /// The Gateway, or the workload.
    pub(crate) name: NamespacedName,
}

impl ProxyName {
    /// The proxy of a Gateway.
    pub(crate) fn gateway(name: NamespacedName) -> Self {
        Self { kind: ProxyKind::Gateway, name }
    }

    /// The proxy of a workload.
    pub(crate) fn workload(name: NamespacedName) -> Self {
        Self { kind: ProxyKind::Sidecar, name }
    }

    fn word(&self) -> &'static str {
        match self.kind {
            ProxyKind::Gateway => "gateway",
            ProxyKind::Sidecar => "workload",
        }
    }

    fn slug(&self) -> String {
        format!("{}-{}", self.word(), slug(&[&self.name.name, &self.name.namespace]))
    }
}

impl fmt::Display for ProxyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word(), self.name)
    }
}

/// What is known of a proxy's agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Whether it is a Gateway's, or else a workload's.
    pub(crate) gateway: bool,
    /// The Gateway's or workload's namespace.
    pub(crate) namespace: String,
    /// The Gateway's or workload's name.
    pub(crate) name: String,
    /// Where its listeners bind.
    pub(crate) address: IpAddr,
    /// Its agent; `None` while there is none.
    pub(crate) process: Option<Identity>,
    /// What its agent was told: one that was told something else is replaced.
    pub(crate) told: String,
}

impl Record {
    /// The proxy.
    pub(crate) fn proxy(&self) -> ProxyName {
        let name = NamespacedName::new(&*self.namespace, &*self.name);
        if self.gateway { ProxyName::gateway(name) } else { ProxyName::workload(name) }
    }
}

/// The state directory, ours alone while this lives.
#[derive(Debug)]
pub(crate) struct Records {
    store: Arc<FileStore>,
    _lock: File,
}

impl Records {
    /// Opens a state directory. Fails where another run has it.
    pub(crate) fn open(root: PathBuf) -> anyhow::Result<Self> {
        let store = FileStore::open(root)?;
        let path = store.root().join("lock");
        let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { store: Arc::new(store), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another `tombolo run` uses {}: stop it, or name another directory with --state",
                    store.root().display()
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// For what the control plane itself must remember.
    pub(crate) fn store(&self) -> Arc<FileStore> {
        self.store.clone()
    }

    /// The directory.
    pub(crate) fn root(&self) -> &Path {
        self.store.root()
    }

    /// Every record, by namespace and name.
    pub(crate) fn all(&self) -> anyhow::Result<Vec<Record>> {
        let mut records: Vec<Record> = Vec::new();
        for entry in self.root().read_dir()? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|n| n.starts_with(RECORD) && n.ends_with(".json")) else {
                continue;
            };
            let Some(bytes) = self.store.read(name)? else { continue };
            match serde_json::from_slice(&bytes) {
                Ok(record) => records.push(record),
                // Written whole or not at all, so this was edited by hand, or by another version.
                Err(error) => tracing::warn!(%error, name, "this record cannot be read and is passed over"),
            }
        }
        records.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(records)
    }

    /// What is known of a proxy.
    pub(crate) fn find(&self, proxy: &ProxyName) -> anyhow::Result<Option<Record>> {
        let bytes = self.store.read(&record_name(proxy))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Remembers.
    pub(crate) fn save(&self, record: &Record) -> anyhow::Result<()> {
        Ok(self.store.write(&record_name(&record.proxy()), &serde_json::to_vec_pretty(record)?)?)
    }

    /// Forgets a proxy that is gone for good, with all that its agent kept.
    pub(crate) fn forget(&self, proxy: &ProxyName) -> anyhow::Result<()> {
        self.store.remove(&record_name(proxy))?;
        let directory = self.root().join(proxy.slug());
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", directory.display()))
            }
            _ => Ok(()),
        }
    }

    /// The state directory of a proxy's agent: for its owner alone.
    pub(crate) fn agent(&self, proxy: &ProxyName) -> anyhow::Result<FileStore> {
        Ok(FileStore::open(self.root().canonicalize()?.join(proxy.slug()))?)
    }

    /// The process that says in its state directory that it is a proxy's agent.
    pub(crate) fn introduced(&self, proxy: &ProxyName) -> Option<Identity> {
        #[derive(Deserialize)]
        struct Introduction {
            process: Identity,
        }
        let bytes = std::fs::read(self.root().join(proxy.slug()).join("agent.json")).ok()?;
        serde_json::from_slice::<Introduction>(&bytes).ok().map(|introduction| introduction.process)
    }

    /// Where the last run served agents.
    pub(crate) fn secure_address(&self) -> Option<SocketAddr> {
        self.address(SECURE)
    }

    /// Remembers where this run serves agents.
    pub(crate) fn save_secure_address(&self, address: SocketAddr) -> anyhow::Result<()> {
        Ok(self.store.write(SECURE, &serde_json::to_vec(&address)?)?)
    }

    fn address(&self, name: &str) -> Option<SocketAddr> {
        let bytes = self.store.read(name).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Records' names begin so.
const RECORD: &str = "proxy-";

fn record_name(proxy: &ProxyName) -> String {
    format!("{RECORD}{}.json", proxy.slug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        let (namespace, name) = ("shop".to_owned(), name.to_owned());
        let (address, process) = ([127, 0, 0, 1].into(), Some(Identity { pid: 1, started: 2 }));
        Record { gateway: true, namespace, name, address, process, told: "x".into() }
    }

    #[test]
    fn records_are_found_again_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path().join("state")).unwrap();
        for name in ["b", "a"] {
            records.save(&record(name)).unwrap();
        }
        assert_eq!(records.all().unwrap(), [record("a"), record("b")]);
        records.forget(&record("a").proxy()).unwrap();
        assert_eq!(records.find(&record("a").proxy()).unwrap(), None);
        assert_eq!(records.find(&record("b").proxy()).unwrap(), Some(record("b")));
    }

    #[test]
    fn one_run_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = Records::open(directory.path().to_owned()).unwrap();
        let error = Records::open(directory.path().to_owned()).unwrap_err();
        assert!(error.to_string().contains("--state"), "{error}");
        drop(first);
        Records::open(directory.path().to_owned()).unwrap();
    }
}
