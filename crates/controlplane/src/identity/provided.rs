//! An intermediate that somebody provides, in the four files of Istio's Secret `cacerts`.

use crate::World;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tombolo_api::{
    Kind, ObjectKey,
    kubernetes::{Bytes, Secret},
};
use tombolo_ca::CaCerts;
use tombolo_core::NamespacedName;

/// The contents of `ca-cert.pem`, `ca-key.pem`, `cert-chain.pem` and `root-cert.pem`, as far as they are there. They do not print.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[Option<String>; 4]", into = "[Option<String>; 4]")]
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
        let file = |name: &str| secret?.data.get(name).map(text);
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
}

/// They are kept as text: what is none, in a remark beside the PEM mostly, is so from the beginning, or they would never equal what is
/// kept of them.
fn text(file: &Bytes) -> Bytes {
    match String::from_utf8_lossy(file.expose()) {
        Cow::Borrowed(_) => file.clone(),
        Cow::Owned(text) => Bytes::new(text.into_bytes()),
    }
}

/// As they are kept.
impl From<ProvidedFiles> for [Option<String>; 4] {
    fn from(files: ProvidedFiles) -> Self {
        files.0.map(|file| file.map(|bytes| String::from_utf8_lossy(bytes.expose()).into_owned()))
    }
}

impl From<[Option<String>; 4]> for ProvidedFiles {
    fn from(texts: [Option<String>; 4]) -> Self {
        Self(texts.map(|text| text.map(|text| Bytes::new(text.into_bytes()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edit, Update};
    use serde_json::json;
    use std::time::SystemTime;
    use tombolo_api::manifest;
    use tombolo_core::SourceId;

    #[test]
    fn files_that_are_not_text_equal_what_is_kept_of_them() {
        let metadata = |name: &str| json!({"name": name, "namespace": "tombolo-system"});
        let installation = json!({"apiVersion": "mesh.tombolo.dev/v1alpha1", "kind": "MeshInstallation",
            "metadata": metadata("default"), "spec": {}});
        // "\xfcber" and "x", in base64.
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("cacerts"),
            "data": {"ca-cert.pem": "/GJlcg==", "ca-key.pem": "eA=="}});
        let mut world = World::default();
        let edits = [installation, secret].map(|document| {
            let decoded = manifest::decode(document, None);
            Edit::Apply(decoded.object.unwrap(), None)
        });
        let update = Update { edits: edits.into(), ..Update::default() };
        world.update(SourceId::new("here"), update, SystemTime::UNIX_EPOCH);
        let files = ProvidedFiles::of(&world).unwrap();
        assert_eq!(files.as_certs().cert.unwrap(), "\u{fffd}ber".as_bytes());
        let kept = serde_json::to_vec(&files).unwrap();
        assert_eq!(serde_json::from_slice::<ProvidedFiles>(&kept).unwrap(), files);
    }
}
