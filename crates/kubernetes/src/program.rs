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

/// What is logged where `RUST_LOG` says nothing.
const LOGGED: &str = "info";
/// What is logged unless `RUST_LOG` names it: of each call and each watch that fails whoever began it tells, and kube need not.
const QUIET: &str = "kube_client=off,kube_runtime::watcher=off";

/// Logs to standard error from now on, as `RUST_LOG` says; in colours where somebody looks.
pub fn log() {
    tracing_subscriber::fmt()
        .with_env_filter(filter(env::var(EnvFilter::DEFAULT_ENV).ok().as_deref()))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

/// What is logged, given what `RUST_LOG` says: of a target the last directive counts.
fn filter(said: Option<&str>) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{QUIET},{}", said.unwrap_or(LOGGED)))
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

    #[test]
    fn the_client_is_quiet_unless_it_is_named() {
        let logged = |said| {
            let subscriber = tracing_subscriber::fmt().with_writer(io::sink).with_env_filter(filter(said)).finish();
            tracing::subscriber::with_default(subscriber, || {
                let client = tracing::enabled!(target: "kube_client::client::builder", tracing::Level::ERROR);
                let watcher = tracing::enabled!(target: "kube_runtime::watcher", tracing::Level::WARN);
                assert!(!watcher, "{said:?}");
                (client, tracing::enabled!(tracing::Level::INFO), tracing::enabled!(tracing::Level::DEBUG))
            })
        };
        assert_eq!(logged(None), (false, true, false));
        assert_eq!(logged(Some("info")), (false, true, false), "as the chart says it");
        assert_eq!(logged(Some("debug")), (false, true, true));
        assert_eq!(logged(Some("warn,kube_client=info")), (true, false, false));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named_with_its_cause() {
        let error = client(Some(Path::new("/nowhere/config"))).await.err().unwrap();
        assert_eq!(error.to_string(), "--kubeconfig /nowhere/config cannot be used");
        assert!(error.source().unwrap().to_string().contains("/nowhere/config"), "{error:?}");
    }
}
