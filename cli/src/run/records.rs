//! What must be known after a restart: which Envoys run, and where.

use super::process::Identity;
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, TryLockError},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};
use tombolo_controlplane::{FileStore, Store, slug};
use tombolo_core::NamespacedName;

/// The longest path of a Unix socket is 107 bytes (`sockaddr_un`).
const LONGEST_SOCKET: usize = 107;
const XDS: &str = "xds.json";

/// What is known of a Gateway's Envoy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The Gateway's namespace.
    pub(crate) namespace: String,
    /// The Gateway's name.
    pub(crate) name: String,
    /// Where its listeners bind.
    pub(crate) address: IpAddr,
    /// Its Envoy; `None` while there is none.
    pub(crate) process: Option<Identity>,
    /// What its Envoy was started from: one started from something else is replaced.
    pub(crate) bootstrap: String,
}

impl Record {
    /// The Gateway.
    pub(crate) fn gateway(&self) -> NamespacedName {
        NamespacedName::new(&*self.namespace, &*self.name)
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
            let Some(name) = name.to_str().filter(|n| n.starts_with("gateway-") && n.ends_with(".json")) else {
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

    /// What is known of a Gateway.
    pub(crate) fn find(&self, gateway: &NamespacedName) -> anyhow::Result<Option<Record>> {
        let bytes = self.store.read(&record_name(gateway))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Remembers.
    pub(crate) fn save(&self, record: &Record) -> anyhow::Result<()> {
        Ok(self.store.write(&record_name(&record.gateway()), &serde_json::to_vec_pretty(record)?)?)
    }

    /// Forgets a Gateway whose Envoy is gone, its log included.
    pub(crate) fn forget(&self, gateway: &NamespacedName) -> anyhow::Result<()> {
        self.store.remove(&record_name(gateway))?;
        for extension in ["sock", "log", "bootstrap.json"] {
            self.store.remove(&format!("{}.{extension}", gateway_slug(gateway)))?;
        }
        Ok(())
    }

    /// Writes what a Gateway's Envoy starts from.
    pub(crate) fn save_bootstrap(&self, gateway: &NamespacedName, bootstrap: &[u8]) -> anyhow::Result<PathBuf> {
        let name = format!("{}.bootstrap.json", gateway_slug(gateway));
        self.store.write(&name, bootstrap)?;
        Ok(self.root().join(name))
    }

    /// Where a Gateway's Envoy has its administration interface.
    pub(crate) fn socket(&self, gateway: &NamespacedName) -> anyhow::Result<PathBuf> {
        let root = self.root().canonicalize()?;
        let path = root.join(format!("{}.sock", gateway_slug(gateway)));
        let length = path.as_os_str().len();
        ensure!(
            length <= LONGEST_SOCKET,
            "{} is too long a path for a socket, {length} bytes of at most {LONGEST_SOCKET}: choose a shorter --state",
            path.display()
        );
        Ok(path)
    }

    /// Where a Gateway's Envoy logs.
    pub(crate) fn log(&self, gateway: &NamespacedName) -> PathBuf {
        self.root().join(format!("{}.log", gateway_slug(gateway)))
    }

    /// Where the last run served xDS.
    pub(crate) fn xds_address(&self) -> Option<SocketAddr> {
        let bytes = self.store.read(XDS).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Remembers where this run serves xDS.
    pub(crate) fn save_xds_address(&self, address: SocketAddr) -> anyhow::Result<()> {
        Ok(self.store.write(XDS, &serde_json::to_vec(&address)?)?)
    }
}

fn record_name(gateway: &NamespacedName) -> String {
    format!("gateway-{}.json", gateway_slug(gateway))
}

fn gateway_slug(gateway: &NamespacedName) -> String {
    slug(&[&gateway.name, &gateway.namespace])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        let (namespace, name) = ("shop".to_owned(), name.to_owned());
        let (address, process) = ([127, 0, 0, 1].into(), Some(Identity { pid: 1, started: 2 }));
        Record { namespace, name, address, process, bootstrap: "x".into() }
    }

    #[test]
    fn records_are_found_again_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path().join("state")).unwrap();
        for name in ["b", "a"] {
            records.save(&record(name)).unwrap();
        }
        assert_eq!(records.all().unwrap(), [record("a"), record("b")]);
        records.forget(&record("a").gateway()).unwrap();
        assert_eq!(records.find(&record("a").gateway()).unwrap(), None);
        assert_eq!(records.find(&record("b").gateway()).unwrap(), Some(record("b")));
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
