//! Certificates of listeners.

use super::{
    Refusal,
    grants::{Target, permitted},
};
use crate::{
    engine::{Emits, View},
    envoy, names,
};
use std::sync::Arc;
use tombolo_api::{
    Kind, ObjectKey,
    gateway::{ListenerTls, ObjectReference, TlsMode},
    kubernetes::{Secret, tls::TlsPair},
};
use tombolo_core::NamespacedName;
use tombolo_proto::Scope;

/// What a listener's certificate references come to.
#[derive(Default)]
pub(super) struct Certificates {
    /// The resource names of those that can be served.
    pub(super) names: Vec<String>,
    /// The first that cannot.
    pub(super) unresolved: Option<Refusal>,
}

/// Resolves a listener's certificates; those that can be served become resources of the Gateway.
pub(super) fn certificates(
    view: &View<'_>,
    gateway: &ObjectKey,
    tls: Option<&ListenerTls>,
    emits: &mut Emits,
) -> Certificates {
    let mut all = Certificates::default();
    let Some(tls) = tls.filter(|tls| tls.mode == TlsMode::Terminate && !tls.certificate_refs.is_empty()) else {
        let message = "an HTTPS listener ends TLS itself: set tls.mode Terminate and tls.certificateRefs".to_owned();
        all.unresolved = Some(Refusal { reason: "InvalidCertificateRef", message });
        return all;
    };
    for reference in &tls.certificate_refs {
        match resolve(view, gateway, reference) {
            Ok((name, pair)) => {
                let resource_name = names::secret(&name.namespace, &name.name);
                let scope = Scope::gateway(&gateway.name.namespace, &gateway.name.name);
                // Listeners may share one; it is made once.
                if !emits.resources.iter().any(|(_, r)| **r.name() == *resource_name) {
                    emits.resource(scope, Arc::new(envoy::secret(&resource_name, &pair.chain_pem, &pair.key_pem)));
                }
                all.names.push(resource_name);
            }
            Err(refusal) => drop(all.unresolved.get_or_insert(refusal)),
        }
    }
    all
}

fn resolve(
    view: &View<'_>,
    gateway: &ObjectKey,
    reference: &ObjectReference,
) -> Result<(NamespacedName, TlsPair), Refusal> {
    let invalid = |message: String| Refusal { reason: "InvalidCertificateRef", message };
    if (&*reference.group, &*reference.kind) != ("", "Secret") {
        return Err(invalid(format!("certificates of kind {} are not supported: use a Secret", reference.kind)));
    }
    let namespace = reference.namespace.as_ref().unwrap_or(&gateway.name.namespace);
    let target = Target { group: "", kind: "Secret", namespace, name: &reference.name };
    let name = NamespacedName { namespace: namespace.clone(), name: reference.name.clone() };
    if !permitted(view, gateway, &target) {
        let message = format!(
            "Secret {name} may not be referred to from namespace {}: create a ReferenceGrant in {namespace}",
            gateway.name.namespace
        );
        return Err(Refusal { reason: "RefNotPermitted", message });
    }
    let key = ObjectKey { source: gateway.source, kind: Kind::Secret, name: name.clone() };
    let Some(secret) = view.object::<Secret>(&key) else {
        return Err(invalid(format!("there is no Secret {name}: create it, of type kubernetes.io/tls")));
    };
    let pair = TlsPair::from_secret(secret).map_err(|error| invalid(format!("Secret {name}: {error}")))?;
    Ok((name, pair))
}
