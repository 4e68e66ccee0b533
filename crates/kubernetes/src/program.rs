//! What every program with a Kubernetes client begins and ends with: its log, its client, its signals.

use kube::{
    Client, Config,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{
    env,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What is logged where `RUST_LOG` says nothing. Of each call that fails whoever called tells: the client need not.
const LOGGED: &str = "info,kube_client=off";

/// Logs to standard error from now on, as `RUST_LOG` says; in colours where somebody looks.
pub fn log() {
    let filter = env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| LOGGED.to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(filter))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

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
