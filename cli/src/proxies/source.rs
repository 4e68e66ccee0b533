//! Where a control plane is asked.

use super::{cluster::Cluster, page};
use crate::args::SourceArgs;
use anyhow::Context as _;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde::Serialize;
use std::{fmt, net::SocketAddr, time::Duration};
use tokio::net::TcpStream;

/// Replicas that are asked at once.
const AT_ONCE: usize = 8;
/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One process of a control plane.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Replica {
    /// Its pod, or its address.
    pub(super) name: String,
    /// The revision that it is of; empty for `tombolo run`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) revision: String,
}

/// A page, or why there is none.
pub(super) type Answer = anyhow::Result<Bytes>;

/// A control plane.
pub(super) enum Source {
    /// A `tombolo run`, at the address of its pages.
    Run(SocketAddr),
    /// One in a cluster.
    Cluster(Cluster),
}

impl Source {
    /// The one that the flags name: `--admin`, or else a cluster.
    pub(super) async fn open(args: &SourceArgs) -> anyhow::Result<Self> {
        match args.admin {
            Some(address) => Ok(Self::Run(address)),
            None => Ok(Self::Cluster(Cluster::open(args).await?)),
        }
    }

    /// Asks every replica for a page.
    pub(super) async fn ask_all(&self, path: &str) -> anyhow::Result<Vec<(Replica, Answer)>> {
        let replicas = match self {
            Self::Run(address) => vec![Replica { name: address.to_string(), revision: String::new() }],
            Self::Cluster(cluster) => cluster.replicas().await?,
        };
        let asked = replicas.into_iter().map(|replica| async {
            let answer = self.ask(&replica, path).await;
            (replica, answer)
        });
        Ok(stream::iter(asked).buffered(AT_ONCE).collect().await)
    }

    /// Asks one replica for a page.
    pub(super) async fn ask(&self, replica: &Replica, path: &str) -> Answer {
        let answer = async {
            match self {
                Self::Run(address) => {
                    let connected = TcpStream::connect(address).await;
                    let fix = "is `tombolo run --admin` serving there?";
                    page::get(connected.with_context(|| format!("cannot connect; {fix}"))?, path).await
                }
                Self::Cluster(cluster) => Box::pin(cluster.ask(&replica.name, path)).await,
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.with_context(|| format!("no answer within {PATIENCE:?}"))?
    }
}

/// For people.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(address) => write!(f, "tombolo run at {address}"),
            Self::Cluster(cluster) => cluster.fmt(f),
        }
    }
}
