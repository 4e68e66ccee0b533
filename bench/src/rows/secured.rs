//! The control plane that is measured, with its TLS port, and what an agent proves itself to it by.

use super::subject::Subject;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tombolo_api::{Kind, ObjectKey};
use tombolo_bench::fixture::Mesh;
use tombolo_ca::{
    KeyRing, LocalIssuer, ObjectUid, RotationPolicy, ServerNames, Settings, TokenRules, TokenSpec, TokenVerifier,
    stable_uid,
};
use tombolo_controlplane::{ControlPlane, FileStore, Identity, IdentitySetup, Inhabitants, SystemClock, directory_uid};
use tombolo_core::{NamespacedName, TrustDomain};

/// The workload whose agent it is.
pub(super) const WORKLOAD: &str = "agent";
/// Its address.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 21);
/// What tokens are for.
pub(super) const AUDIENCE: &str = "istio-ca";
/// Who signs them.
pub(super) const ISSUER: &str = "https://bench.local";
/// By what name the server is reached.
const SERVER: &str = "localhost";

/// A control plane with a TLS port. It knows one workload besides the mesh.
pub(super) struct Secured {
    pub(super) subject: Subject,
    /// Of the TLS port.
    pub(super) address: SocketAddr,
    pub(super) issuer: LocalIssuer,
    identity: Identity,
    _state: TempDir,
}

/// The namespace of the workload.
pub(super) fn namespace() -> String {
    Mesh::namespace_name(0)
}

impl Secured {
    /// Starts one. Returns when it is ready.
    pub(super) fn start(mesh: Mesh) -> anyhow::Result<Self> {
        let subject = Subject::start(mesh.manifests().chain([workload()]))?;
        let (state, issuer) = (tempfile::tempdir()?, LocalIssuer::create(ISSUER)?);
        let setup = setup(&issuer, &state, subject.plane())?;
        let (identity, listener) = subject.runtime()?.block_on(async {
            let identity = Identity::start(subject.plane(), setup).await?;
            anyhow::Ok((identity, tombolo_xds::listen((Ipv4Addr::LOCALHOST, 0).into())?))
        })?;
        let (address, hub) = (listener.local_addr()?, subject.plane().hub().clone());
        let serving = tombolo_xds::serve_behind(identity.front(), listener, hub, std::future::pending());
        subject.runtime()?.spawn(serving);
        Ok(Self { subject, address, issuer, identity, _state: state })
    }

    /// A token of the workload.
    pub(super) fn token(&self) -> anyhow::Result<String> {
        let name = NamespacedName::new(namespace(), WORKLOAD);
        let key = ObjectKey { source: self.subject.source(), kind: Kind::WorkloadEntry, name };
        let spec = TokenSpec {
            namespace: &namespace(),
            service_account: WORKLOAD,
            uid: &stable_uid(WORKLOAD),
            pod: Some(ObjectUid { name: WORKLOAD.into(), uid: directory_uid(&key) }),
            secret: None,
            audience: AUDIENCE,
            lifetime: Duration::from_secs(3600),
        };
        Ok(self.issuer.token(&spec, SystemTime::now())?)
    }

    /// The roots of the mesh, PEM.
    pub(super) fn roots(&self) -> String {
        self.identity.bundle()
    }

    /// How a client connects: with a certificate, or without.
    pub(super) fn client(&self, held: Option<&Held>) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.roots().as_bytes()) {
            roots.add(root?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
        let builder = builder.with_root_certificates(roots);
        let mut config = match held {
            Some(held) => builder.with_client_auth_cert(held.chain.clone(), held.private_key()?)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Each handshake is a whole one.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// A certificate and its key, as an agent holds them.
pub(super) struct Held {
    /// Leaf first, without the root.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// PKCS #8.
    pub(super) key: Vec<u8>,
}

impl Held {
    /// The key.
    pub(super) fn private_key(&self) -> anyhow::Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::try_from(self.key.clone()).map_err(anyhow::Error::msg)
    }
}

/// Who is asked for.
pub(super) fn server_name() -> anyhow::Result<rustls::pki_types::ServerName<'static>> {
    Ok(SERVER.try_into()?)
}

fn setup(issuer: &LocalIssuer, state: &TempDir, plane: &ControlPlane) -> anyhow::Result<IdentitySetup> {
    let rules = TokenRules::new(TrustDomain::default(), issuer.issuer());
    Ok(IdentitySetup {
        settings: Settings::new(TrustDomain::default()),
        rotation: RotationPolicy::default(),
        names: ServerNames { dns: vec![SERVER.to_owned()], ips: vec![Ipv4Addr::LOCALHOST.into()] },
        provided: None,
        tokens: vec![TokenVerifier::new(rules, KeyRing::new(issuer.jwks()?).into()).into()],
        exists: Arc::new(Inhabitants::new(plane, vec![issuer.issuer().to_owned()])),
        store: Arc::new(FileStore::open(state.path().join("store"))?),
        clock: Arc::new(SystemClock),
    })
}

fn workload() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": WORKLOAD, "namespace": namespace()},
        "spec": {"address": ADDRESS, "serviceAccount": WORKLOAD, "labels": {"app": WORKLOAD}},
    })
}
