//! An intermediate that somebody provides, in the four files of Istio's Secret `cacerts`.

use super::IdentityError;
use crate::{Store, World};
use std::time::SystemTime;
use tombolo_api::{
    Kind, ObjectKey,
    kubernetes::{Bytes, Secret},
};
use tombolo_ca::{CaCerts, Issuing};
use tombolo_core::NamespacedName;

/// The name of the last files that were of use, in the store.
const NAME: &str = "ca-provided.json";

/// The contents of `ca-cert.pem`, `ca-key.pem`, `cert-chain.pem` and `root-cert.pem`, as far as they are there. They do not print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProvidedFiles([Option<Bytes>; 4]);

impl ProvidedFiles {
    /// What `spec.ca.secretRef` of the MeshInstallation names, in its namespace; where that names nothing a Secret `cacerts` of that
    /// namespace, as Istio has it, and `None` where there is none. A Secret that is named and not there has none of the files.
    pub fn of(world: &World) -> Option<Self> {
        let installation = world.installation()?;
        let named = installation.ca.secret_ref.as_ref().map(|secret| secret.name.clone());
        let name = named.clone().unwrap_or_else(|| Self::DEFAULT_SECRET.into());
        let name = NamespacedName { namespace: installation.namespace.clone(), name };
        let source = world.installation_key()?.source;
        let secret = world.snapshot().get::<Secret>(&ObjectKey { source, kind: Kind::Secret, name });
        let file = |name: &str| secret?.data.get(name).cloned();
        let files = Self(["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"].map(file));
        (named.is_some() || files != Self::default()).then_some(files)
    }

    /// The Secret that is looked for where none is named.
    pub const DEFAULT_SECRET: &'static str = "cacerts";

    /// For the certificate authority.
    pub fn as_certs(&self) -> CaCerts<'_> {
        let [cert, key, chain, root] = self.0.each_ref().map(|file| file.as_ref().map(Bytes::expose));
        CaCerts { cert, key, chain, root }
    }

    /// What signs with them, and remembers them; where they are of no use the last ones that were.
    pub(super) fn open(self, store: &dyn Store, now: SystemTime) -> Result<(Issuing, Self), IdentityError> {
        let error = match Issuing::provided(&self.as_certs(), now) {
            Ok(issuing) => {
                self.remember(store)?;
                return Ok((issuing, self));
            }
            Err(error) => error,
        };
        let usable = |files: Self| Some((Issuing::provided(&files.as_certs(), now).ok()?, files));
        Self::remembered(store)?.and_then(usable).ok_or(error.into())
    }

    /// So that a mistake in the Secret does not end a mesh whose control plane is started again.
    pub(super) fn remember(&self, store: &dyn Store) -> Result<(), IdentityError> {
        let texts = self.0.each_ref().map(|file| file.as_ref().map(|bytes| String::from_utf8_lossy(bytes.expose())));
        let text = serde_json::json!(texts).to_string();
        if store.is_ours() && store.read(NAME)?.as_deref() != Some(text.as_bytes()) {
            store.write(NAME, text.as_bytes())?;
        }
        Ok(())
    }

    fn remembered(store: &dyn Store) -> Result<Option<Self>, IdentityError> {
        let Some(bytes) = store.read(NAME)? else { return Ok(None) };
        let texts: Option<[Option<String>; 4]> = serde_json::from_slice(&bytes).ok();
        Ok(texts.map(|texts| Self(texts.map(|text| text.map(|text| Bytes::new(text.into_bytes()))))))
    }

    /// No key is kept longer than somebody provides one.
    pub(super) fn forget(store: &dyn Store) -> Result<(), IdentityError> {
        if store.is_ours() {
            store.remove(NAME)?;
        }
        Ok(())
    }
}
