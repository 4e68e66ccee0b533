//! What every program with a Kubernetes client begins and ends with.

use kube::{
    Client, Config,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why there is no client.
#[derive(Debug, Error)]
pub enum NoClient {
    /// The file that was named cannot be used.
    #[error("--kubeconfig {} cannot be used", .0.display())]
    Kubeconfig(PathBuf, #[source] KubeconfigError),
    /// No file was named, and nothing else says where the API server is.
    #[error("there is no API server to ask: name one with --kubeconfig")]
    Unknown(#[source] InferConfigError),
    /// What was said of it cannot be used, such as a certificate.
    #[error("the API server cannot be asked")]
    Unusable(#[source] kube::Error),
}

/// A client by a kubeconfig file; without one by `KUBECONFIG`, the user's own file or the pod's account, in this order.
///
/// # Errors
/// The file that was named, or that nothing says where the API server is. The API server itself is not asked.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, NoClient> {
    let config = match kubeconfig {
        Some(file) => {
            let unusable = |error| NoClient::Kubeconfig(file.to_owned(), error);
            let read = Kubeconfig::read_from(file).map_err(unusable)?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.map_err(unusable)?
        }
        None => Config::infer().await.map_err(NoClient::Unknown)?,
    };
    Client::try_from(config).map_err(NoClient::Unusable)
}

/// Who asks this process to stop: a terminal's interrupt, or whoever started it.
pub struct Told {
    interrupt: Signal,
    terminate: Signal,
}

impl Told {
    /// Listens from now on, so that no signal is missed while the program starts.
    ///
    /// # Errors
    /// What the system says where signals cannot be listened to.
    pub fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Returns once somebody asked.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        tracing::info!("told to stop");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named_with_its_cause() {
        let error = client(Some(Path::new("/nowhere/config"))).await.err().unwrap();
        assert_eq!(error.to_string(), "--kubeconfig /nowhere/config cannot be used");
        assert!(error.source().unwrap().to_string().contains("/nowhere/config"), "{error:?}");
    }
}
