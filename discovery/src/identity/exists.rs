//! Who still is, in a cluster: by ServiceAccounts, the pods that run as them, and the workloads outside that do.

use super::present::{Present, ask};
use crate::metrics::WatchMetrics;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::Client;
use std::error::Error;
use tombolo_ca::{Answer, Bound, Caller, Existence, Exists, ExistsError, ObjectUid, Proven};
use tombolo_controlplane::{ControlPlane, Stopped};
use tombolo_core::{NamespacedName, Uid};

/// Answers from memory; what is not known there is asked for once.
pub(super) struct InCluster {
    plane: ControlPlane,
    client: Client,
    accounts: Present<ServiceAccount>,
    pods: Present<Pod>,
}

impl InCluster {
    /// Returns once all ServiceAccounts and pods were read.
    pub(super) async fn start(plane: ControlPlane, client: Client, metrics: &WatchMetrics) -> Self {
        let accounts = Present::start(client.clone(), "ServiceAccount", metrics);
        let pods = Present::start(client.clone(), "Pod", metrics);
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
        instance(caller, machine, |uid| self.pods.knows(uid))
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
}

/// What the instance of a certificate needs: its pod, or, of a machine, a WorkloadEntry of its ServiceAccount. `knows` says whether
/// there is a pod of this UID, or that nobody can say now.
fn instance(caller: &Caller, machine: bool, knows: impl Fn(Uid) -> Option<bool>) -> Result<Existence, ExistsError> {
    let (Proven::Certificate { .. }, Some(instance)) = (&caller.proven, &caller.instance) else {
        return Ok(Existence::Exists);
    };
    let needed = match instance.pod() {
        None if machine => return Ok(Existence::Exists),
        None => format!("a WorkloadEntry of {},", caller.id.service_account),
        Some(uid) => match Uid::parse(uid).map_or(Some(false), knows) {
            Some(true) => return Ok(Existence::Exists),
            Some(false) => format!("pod {uid} of {}", caller.id.namespace),
            None => return Err(ExistsError("pods cannot be watched now".into())),
        },
    };
    Ok(Existence::Gone(needed))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;
    use tombolo_core::InstanceId;

    const UID: &str = "6f0c9b1e-3f0a-4c1b-9d53-0d8f5f1f2a3b";

    fn renewal(instance: InstanceId) -> Caller {
        Caller {
            id: "spiffe://cluster.local/ns/shop/sa/db".parse().unwrap(),
            instance: Some(instance),
            proven: Proven::Certificate { serial: "1".into() },
            expires: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_pod_that_is_gone_does_not_live_on_as_a_machine_of_its_account() {
        let pod = renewal(InstanceId::of_pod(UID).unwrap());
        assert!(matches!(instance(&pod, true, |_| Some(true)), Ok(Existence::Exists)));
        assert!(matches!(instance(&pod, true, |_| Some(false)), Ok(Existence::Gone(_))));
        assert!(instance(&pod, true, |_| None).is_err());
    }

    #[test]
    fn a_machine_needs_a_workload_entry_and_no_pod() {
        let machine = renewal(InstanceId::of_machine(UID).unwrap());
        assert!(matches!(instance(&machine, true, |_| Some(false)), Ok(Existence::Exists)));
        assert!(matches!(instance(&machine, false, |_| Some(true)), Ok(Existence::Gone(_))));
    }
}
