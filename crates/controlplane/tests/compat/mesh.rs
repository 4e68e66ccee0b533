//! A control plane over a directory, behind TLS, and an issuer of tokens.

use super::client::{Certificate, Connection, Proof, Refused, SERVER, within};
use std::{
    fs,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tombolo_api::{Kind, ObjectKey};
use tombolo_ca::{
    KeyRing, LocalIssuer, ObjectUid, RotationPolicy, ServerNames, Settings, TokenRules, TokenSpec, TokenVerifier,
};
use tombolo_controlplane::{
    ControlPlane, FileStore, Identity, IdentitySetup, Inhabitants, Setup, SystemClock, directory::Directory,
    directory_uid,
};
use tombolo_core::{NamespacedName, SourceId, TrustDomain};

const ISSUER: &str = "https://kubernetes.default.svc";

pub(crate) struct Mesh {
    pub(crate) plane: ControlPlane,
    pub(crate) address: SocketAddr,
    pub(crate) issuer: LocalIssuer,
    identity: Identity,
    directory: TempDir,
    _state: TempDir,
}

impl Mesh {
    /// Serves these files of manifests.
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        let (directory, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let clock = Arc::new(SystemClock);
        let setup = Setup {
            sources: vec![Box::new(Directory::new(directory.path()))],
            facts: Vec::new(),
            store: None,
            xds: tombolo_xds::Config::default(),
            clock: clock.clone(),
        };
        let plane = ControlPlane::start(setup).unwrap();
        within(plane.ready()).await;
        let issuer = LocalIssuer::create(ISSUER).unwrap();
        let rules = TokenRules::new(TrustDomain::default(), ISSUER);
        let setup = IdentitySetup {
            settings: Settings::new(TrustDomain::default()),
            rotation: RotationPolicy::default(),
            names: ServerNames { dns: vec![SERVER.to_owned()], ips: Vec::new() },
            provided: None,
            tokens: vec![TokenVerifier::new(rules, KeyRing::new(issuer.jwks().unwrap()).into()).into()],
            exists: Arc::new(Inhabitants::new(&plane, vec![ISSUER.to_owned()])),
            store: Arc::new(FileStore::open(state.path()).unwrap()),
            clock,
        };
        let identity = Identity::start(&plane, setup).await.unwrap();
        let listener = tombolo_xds::listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let hub = plane.hub().clone();
        tokio::spawn(tombolo_xds::serve_behind(identity.front(), listener, hub, std::future::pending()));
        Self { plane, address, issuer, identity, directory, _state: state }
    }

    /// A token as a machine gets it.
    pub(crate) fn token(&self, workload: &str, namespace: &str, account: &str) -> String {
        self.issuer.token(&spec(workload, namespace, account, "istio-ca"), SystemTime::now()).unwrap()
    }

    /// With this proof.
    pub(crate) async fn connect(&self, proof: &Proof) -> Connection {
        Connection::open(self.address, &self.identity.bundle(), proof).await
    }

    /// By a token, without a request of its own for a name.
    pub(crate) async fn join(&self, workload: &str, namespace: &str, account: &str) -> Certificate {
        let token = Proof::Token(self.token(workload, namespace, account));
        self.connect(&token).await.certificate(None).await.unwrap()
    }

    /// With the certificate that a join gives.
    pub(crate) async fn joined(&self, workload: &str, namespace: &str, account: &str) -> Connection {
        self.connect(&Proof::Certificate(self.join(workload, namespace, account).await)).await
    }

    /// Asks for a certificate, and is refused.
    pub(crate) async fn refusal(&self, proof: &Proof, san: Option<&str>) -> Refused {
        let outcome = self.connect(proof).await.certificate(san).await;
        outcome.err().expect("nobody may have this certificate")
    }

    /// Writes a file.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = |name: &str| self.directory.path().join(name);
        fs::write(path(&format!(".{file}.new")), text).unwrap();
        fs::rename(path(&format!(".{file}.new")), path(file)).unwrap();
    }

    /// Removes a file, and waits until a workload is no more.
    pub(crate) async fn remove(&self, file: &str, workload: &str) {
        fs::remove_file(self.directory.path().join(file)).unwrap();
        self.until_known(workload, false).await;
    }

    /// Waits until a workload is there.
    pub(crate) async fn until_there(&self, workload: &str) {
        self.until_known(workload, true).await;
    }

    async fn until_known(&self, workload: &str, known: bool) {
        let mut events = self.plane.subscribe();
        let is_known = || {
            let workload = workload.to_owned();
            self.plane.ask(move |world| world.workloads().any(|(key, _)| *key.name.name == *workload))
        };
        while is_known().await.unwrap() != known {
            within(events.recv()).await.unwrap();
        }
    }

    /// The condition `Healthy` of a WorkloadEntry: status and message.
    pub(crate) async fn healthy(&self, workload: &'static str) -> Option<(String, String)> {
        let status = self.plane.ask(move |world| {
            let (_, status) =
                world.statuses().find(|(key, _)| key.kind == Kind::WorkloadEntry && &*key.name.name == workload)?;
            Some(status.to_json())
        });
        let json = status.await.unwrap()?;
        let condition = json["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Healthy")?;
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("message")))
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.plane.stop();
    }
}

/// A token that is bound to a machine, for an audience.
pub(crate) fn spec<'a>(workload: &str, namespace: &'a str, account: &'a str, audience: &'a str) -> TokenSpec<'a> {
    let name = NamespacedName::new(namespace, workload);
    let uid = directory_uid(&ObjectKey { source: SourceId::new(""), kind: Kind::WorkloadEntry, name });
    let pod = Some(ObjectUid { name: workload.to_owned(), uid });
    let lifetime = Duration::from_secs(3600);
    TokenSpec { namespace, service_account: account, uid: "account", pod, secret: None, audience, lifetime }
}
