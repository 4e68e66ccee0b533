//! Who still is, in a cluster: by ServiceAccounts, the pods that run as them, and the workloads outside that do.

use super::present::{Present, Uid, ask};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::Client;
use std::error::Error;
use tombolo_ca::{Answer, Bound, Caller, Existence, Exists, ExistsError, ObjectUid, Proven};
use tombolo_controlplane::{ControlPlane, Stopped};
use tombolo_core::NamespacedName;

/// Answers from memory; what is not known there is asked for once.
pub(super) struct InCluster {
    plane: ControlPlane,
    client: Client,
    accounts: Present<ServiceAccount>,
    pods: Present<Pod>,
}

impl InCluster {
    /// Returns once all ServiceAccounts and pods were read.
    pub(super) async fn start(plane: ControlPlane, client: Client) -> Self {
        let (accounts, pods) = (Present::start(client.clone()), Present::start(client.clone()));
        tokio::join!(accounts.listed(), pods.listed());
        Self { plane, client, accounts, pods }
    }

    async fn look(&self, caller: &Caller) -> Result<Existence, ExistsError> {
        if let Some(gone) = self.gone(caller).await? {
            return Ok(Existence::Gone(gone));
        }
        let told = caller.clone();
        let (revoked, machine) = self
            .plane
            .ask(move |world| (world.revoked_by(&told), world.has_machine(&told.id)))
            .await
            .map_err(stopped)?;
        if let Some(by) = revoked {
            return Ok(Existence::Revoked(by));
        }
        self.instance(caller, machine)
    }

    /// What the caller needs and is not there.
    async fn gone(&self, caller: &Caller) -> Result<Option<String>, ExistsError> {
        let in_namespace = |name: &str| NamespacedName::new(caller.id.namespace.clone(), name);
        let account = in_namespace(&caller.id.service_account);
        let bound = match &caller.proven {
            Proven::Token(bound) => Some(bound),
            Proven::Certificate { .. } => None,
        };
        // A UID that cannot be read is nobody's.
        let uid = bound.map(|bound| Uid::parse(&bound.service_account));
        let here = match uid {
            Some(None) => false,
            uid => self.accounts.has(account.clone(), uid.flatten()).await.map_err(unknown)?,
        };
        if !here {
            return Ok(Some(format!("ServiceAccount {account}")));
        }
        let Some(Bound { pod, secret, .. }) = bound else { return Ok(None) };
        if let Some(ObjectUid { name, uid }) = pod {
            let (name, uid) = (in_namespace(name), Uid::parse(uid));
            let here = uid.is_some() && self.pods.has(name.clone(), uid).await.map_err(unknown)?;
            return Ok((!here).then(|| format!("pod {name}")));
        }
        let Some(ObjectUid { name, uid }) = secret else { return Ok(None) };
        let (name, uid) = (in_namespace(name), Uid::parse(uid));
        let here = uid.is_some() && ask::<Secret>(&self.client, &name).await.map_err(unknown)? == Some(uid);
        Ok((!here).then(|| format!("Secret {name}, which the token is bound to,")))
    }

    /// A certificate is of a pod, which must be there, or of a machine, whose ServiceAccount then has a WorkloadEntry. An id does
    /// not say which.
    fn instance(&self, caller: &Caller, machine: bool) -> Result<Existence, ExistsError> {
        let (Proven::Certificate { .. }, Some(instance)) = (&caller.proven, &caller.instance) else {
            return Ok(Existence::Exists);
        };
        if machine {
            return Ok(Existence::Exists);
        }
        match Uid::parse(instance.as_str()).map_or(Some(false), |uid| self.pods.knows(uid)) {
            Some(true) => Ok(Existence::Exists),
            Some(false) => {
                let account = &caller.id.service_account;
                Ok(Existence::Gone(format!(
                    "pod {instance} of {}, or a WorkloadEntry of {account},",
                    caller.id.namespace
                )))
            }
            None => Err(ExistsError("pods cannot be watched now".into())),
        }
    }
}

impl Exists for InCluster {
    fn exists<'a>(&'a self, caller: &'a Caller) -> Answer<'a, Result<Existence, ExistsError>> {
        Box::pin(self.look(caller))
    }
}

fn unknown(error: kube::Error) -> ExistsError {
    ExistsError(Box::<dyn Error + Send + Sync>::from(error))
}

fn stopped(stopped: Stopped) -> ExistsError {
    ExistsError(stopped.into())
}
