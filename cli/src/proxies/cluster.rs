//! A control plane in a cluster: its pods, each asked over a port that the API server forwards.
//!
//! Forwarding, and not the pods' `proxy` subresource: whoever may use kubectl port-forward may use this, and who may forward to the
//! control plane's namespace may not thereby read any pod's any page by GET; the kubelet connects within the pod, so ports that
//! are bound to its loopback, or closed to others by a NetworkPolicy, are reached too.

use super::{
    page,
    source::{Answer, Replica},
};
use crate::args::SourceArgs;
use anyhow::{Context as _, anyhow, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::ListParams,
    client::UpgradeConnectionError,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::fmt;

/// What the operator labels the pods of every control plane with, and the label that says of which revision.
const DISCOVERY: &str = "app.kubernetes.io/name=tombolo-discovery";
const REVISION: &str = "istio.io/rev";
/// Where a replica serves its pages.
const MONITORING: u16 = 15014;

/// A namespace with a control plane, and a client.
pub(super) struct Cluster {
    client: Client,
    namespace: String,
    revision: Option<String>,
    /// Where the client comes from, for people.
    from: String,
}

impl Cluster {
    /// By the kubeconfig that the flags name, or as kubectl finds one.
    pub(super) async fn open(args: &SourceArgs) -> anyhow::Result<Self> {
        let (config, from) = config(args).await?;
        let client = Client::try_from(config).with_context(|| format!("{from} cannot be used"))?;
        Ok(Self { client, namespace: args.namespace.clone(), revision: args.revision.clone(), from })
    }

    /// The replicas that may serve.
    pub(super) async fn replicas(&self) -> anyhow::Result<Vec<Replica>> {
        let revision = self.revision.iter().map(|revision| format!("{REVISION}={revision}"));
        let labels = [DISCOVERY.to_owned()].into_iter().chain(revision).collect::<Vec<_>>().join(",");
        let listed = self.pods().list(&ListParams::default().labels(&labels)).await;
        let mut pods = listed.map_err(|error| self.explain(error, "list pods"))?.items;
        pods.retain(may_serve);
        pods.sort_by_key(kube::ResourceExt::name_any);
        if pods.is_empty() {
            let of = self.revision.as_ref().map(|revision| format!(" of revision {revision}")).unwrap_or_default();
            bail!(
                "no control plane{of} runs in namespace {} ({self}): no pod has the labels {labels}; name another namespace with --namespace",
                self.namespace
            );
        }
        let revision = |pod: &Pod| pod.labels().get(REVISION).cloned().unwrap_or_default();
        Ok(pods.iter().map(|pod| Replica { name: pod.name_any(), revision: revision(pod) }).collect())
    }

    /// Asks one of them for a page.
    pub(super) async fn ask(&self, pod: &str, path: &str) -> Answer {
        let forwarded = self.pods().portforward(pod, &[MONITORING]).await;
        let mut forwarded = forwarded.map_err(|error| self.explain(error, "create pods/portforward"))?;
        let stream = forwarded.take_stream(MONITORING).context("the port was not forwarded")?;
        let refused = forwarded.take_error(MONITORING);
        let answer = page::get(stream, path).await;
        forwarded.abort();
        match (answer, refused) {
            (Ok(body), _) => Ok(body),
            // Why nobody answers within the pod, the kubelet says beside the stream.
            (Err(error), Some(refused)) => match refused.await {
                Some(why) => Err(anyhow!("{}", why.trim())),
                None => Err(error),
            },
            (Err(error), None) => Err(error),
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What went wrong, and what to do where that is known. `deed` is what a Role must allow.
    fn explain(&self, error: kube::Error, deed: &str) -> anyhow::Error {
        let status = match &error {
            kube::Error::Api(status) => Some(status.code),
            kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => Some(status.as_u16()),
            _ => None,
        };
        match status {
            Some(403) => anyhow!(
                "forbidden: {self} may not {deed} in namespace {}; a Role there must allow: list pods, get and create pods/portforward",
                self.namespace
            ),
            Some(401) => anyhow!("{self} is not let in: its credentials have expired, or are another cluster's"),
            Some(404) => anyhow!("it is gone"),
            _ => anyhow::Error::new(error).context(format!("cannot {deed} ({self})")),
        }
    }
}

/// For people.
impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.from)
    }
}

/// Pods that have not started, or have ended, serve nobody.
fn may_serve(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed" | "Pending"))
}

/// Who asks which API server, and how to call that.
async fn config(args: &SourceArgs) -> anyhow::Result<(Config, String)> {
    let read =
        match &args.kubeconfig {
            Some(file) => Kubeconfig::read_from(file)
                .with_context(|| format!("--kubeconfig {} cannot be used", file.display()))?,
            None => match Kubeconfig::read() {
                Ok(read) => read,
                Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath) => return in_cluster(args),
                Err(error) => {
                    return Err(anyhow::Error::new(error)
                        .context("the kubeconfig ($KUBECONFIG, or ~/.kube/config) cannot be used"));
                }
            },
        };
    let context = args.context.clone().or_else(|| read.current_context.clone()).unwrap_or_default();
    if !read.contexts.iter().any(|named| named.name == context) {
        let known: Vec<_> = read.contexts.iter().map(|named| named.name.as_str()).collect();
        bail!("the kubeconfig has no context {context:?}; name one with --context: {}", known.join(", "));
    }
    let from = format!("context {context}");
    let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
    let config =
        Config::from_custom_kubeconfig(read, &options).await.with_context(|| format!("{from} cannot be used"))?;
    Ok((config, from))
}

/// Where there is no kubeconfig, the pod that this runs in may have an account.
fn in_cluster(args: &SourceArgs) -> anyhow::Result<(Config, String)> {
    match (&args.context, Config::incluster()) {
        (None, Ok(config)) => Ok((config, "this pod's ServiceAccount".to_owned())),
        _ => bail!(
            "there is no kubeconfig: name one with --kubeconfig or $KUBECONFIG, or a `tombolo run` by the address that it was given, with --admin 127.0.0.1:15014"
        ),
    }
}
