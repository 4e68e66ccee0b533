//! Where a workload's identity comes from.

use super::{files, sds};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Where Istio's agents find a provider of secrets that is there already, such as SPIRE's, relative to where they run.
const SOCKET: &str = "var/run/secrets/workload-spiffe-uds/socket";
/// Where they find an identity in files, likewise.
const FILES: &str = "var/run/secrets/workload-spiffe-credentials";

/// Who gives this workload its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The control plane. The agent asks for certificates, and serves them to Envoy.
    ControlPlane,
    /// Somebody who serves secrets on this socket. Envoy asks there, and the agent has no certificate: it shows the control plane its
    /// token.
    Socket(PathBuf),
    /// Somebody who replaces the files of this directory in time. The agent serves them to Envoy.
    Files(PathBuf),
}

impl Source {
    /// What there is, seen from the directory where the agent runs: the socket counts most, as to Istio's agents.
    ///
    /// # Errors
    /// The directory cannot be named.
    pub async fn find(from: &Path) -> io::Result<Self> {
        let (socket, directory) = (from.join(SOCKET), from.join(FILES));
        // Envoy may be started from elsewhere.
        if sds::is_served(&socket).await {
            return std::path::absolute(socket).map(Self::Socket);
        }
        if socket.exists() {
            tracing::warn!("nobody answers on {}: it is passed over", socket.display());
        }
        match files::are_there(&directory) {
            true => std::path::absolute(directory).map(Self::Files),
            false => Ok(Self::ControlPlane),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::net::UnixListener};

    #[tokio::test]
    async fn the_socket_counts_where_somebody_answers_and_files_where_all_are_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let find = async || Source::find(directory.path()).await.unwrap();
        assert_eq!(find().await, Source::ControlPlane);
        fs::create_dir_all(path(FILES)).unwrap();
        for name in ["key.pem", "cert-chain.pem"] {
            fs::write(path(FILES).join(name), "").unwrap();
            assert_eq!(find().await, Source::ControlPlane, "one is missing still");
        }
        fs::write(path(FILES).join("root-cert.pem"), "").unwrap();
        assert_eq!(find().await, Source::Files(path(FILES)));

        fs::create_dir_all(path(SOCKET).parent().unwrap()).unwrap();
        let listener = UnixListener::bind(path(SOCKET)).unwrap();
        assert_eq!(find().await, Source::Socket(path(SOCKET)));
        drop(listener);
        assert_eq!(find().await, Source::Files(path(FILES)), "nobody answers any more");
    }
}
