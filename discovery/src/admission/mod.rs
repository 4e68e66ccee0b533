//! Admission: whoever writes an object is told at once what of it is not supported or will not work.
//!
//! ```text
//! API server ──TLS──► server ──► review ──► tombolo_api::manifest, as everywhere else
//!                        ▲
//!                   certificate ◄── files of a Secret, made and renewed by the operator
//! ```
//!
//! Nothing is ever refused here: what must not be stored is refused by schemas and their rules, which hold where nobody
//! answers. So every replica answers, whoever writes, and a cluster is none the worse where none does.

mod certificate;
mod claim;
mod metrics;
mod review;
mod server;

pub(crate) use metrics::AdmissionMetrics;

use anyhow::Context;
use certificate::Shown;
use server::Audience;
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::net::TcpListener;
use tombolo_controlplane::ControlPlane;
use tombolo_core::SourceId;
use tombolo_process::listenable;

/// What answers reviews.
pub(crate) struct Admission {
    pub(crate) address: SocketAddr,
    /// Where `tls.crt` and `tls.key` are, or will be.
    pub(crate) certificate: PathBuf,
    /// Which knows whose objects are whose.
    pub(crate) plane: ControlPlane,
    /// The source of its objects.
    pub(crate) cluster: SourceId,
    pub(crate) metrics: AdmissionMetrics,
}

impl Admission {
    /// Listens; what it gives serves until it is dropped.
    pub(crate) async fn listen(self) -> anyhow::Result<impl Future<Output = ()> + Send> {
        let Self { address, certificate, plane, cluster, metrics } = self;
        let listener =
            TcpListener::bind(listenable(address)).await.with_context(|| format!("cannot listen on {address}"))?;
        let shown = Arc::new(Shown::new(certificate, metrics.clone()));
        let tls = Arc::new(certificate::server_config(shown.clone())?);
        Ok(async move {
            tokio::join!(
                certificate::follow(&shown),
                server::serve(listener, tls, Some(Audience { plane, cluster }), metrics)
            );
        })
    }
}
