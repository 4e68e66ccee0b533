//! How a Gateway's proxies are deployed: by us, or by hand; and the Service through which they are reached.

use std::sync::Arc;
use tombolo_api::{Object, gateway::Gateway};
use tombolo_core::NamespacedName;
use xxhash_rust::xxh3::xxh3_64;

/// The label by which Gateways are told to be left alone, as Istio's users set it: with any value but our controller's name,
/// nothing is made for the Gateway.
pub const MANAGED_LABEL: &str = "gateway.istio.io/managed";

/// The label of a gateway's proxies that names their Gateway (GEP-1762).
pub const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// An annotation of a Gateway that is deployed by hand: the ServiceAccount, of its namespace, that its proxies run as where they are no
/// pods of its Service. Whoever runs as it gets the Gateway's keys.
pub const SERVICE_ACCOUNT_ANNOTATION: &str = "mesh.tombolo.dev/service-account";

/// The value of [`MANAGED_LABEL`] on what is made by us. A `/` is not allowed in labels' values.
pub const MANAGED_BY: &str = "mesh.tombolo.dev-gateway-controller";

/// The port of the agent's pages, readiness and metrics, in the pods that are made by us. Envoy could not listen on it, and a Service
/// would publish the pages.
pub const AGENT_PORT: u16 = 15020;

/// What Kubernetes allows for a Service's name and a label's value.
const LONGEST: usize = 63;
/// Hexadecimal digits of the hash, and the dash before them.
const HASH: usize = 9;

/// The name of the Deployment, Service and ServiceAccount of a Gateway (GEP-1762: `GATEWAY-CLASS`). One that would be too long,
/// or that has a dot, which Services must not have, ends with a hash instead.
pub fn infrastructure_name(gateway: &str, class: &str) -> String {
    let full = format!("{gateway}-{class}");
    if full.len() <= LONGEST && !full.contains('.') {
        return full;
    }
    // Both are names of Kubernetes objects: ASCII.
    let mut short = full.replace('.', "-");
    short.truncate(LONGEST - HASH);
    format!("{}-{:08x}", short.trim_end_matches('-'), xxh3_64(full.as_bytes()) >> 32)
}

/// The ServiceAccount that a Gateway's proxies run as: the one that is made for it, unless it is deployed by hand and says otherwise.
pub fn service_account(gateway: &Object<Gateway>) -> String {
    let own = || infrastructure_name(&gateway.metadata.name, &gateway.gateway_class_name);
    let said = gateway.metadata.annotation(SERVICE_ACCOUNT_ANNOTATION).filter(|account| !account.is_empty());
    match Deployed::of(gateway) {
        Deployed::ByUs(name) => name,
        Deployed::ByHand(_) | Deployed::Elsewhere(_) => said.map_or_else(own, str::to_owned),
    }
}

/// Who deploys a Gateway's proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deployed {
    /// We do; they are reached through the Service of this name.
    ByUs(String),
    /// Somebody else does, and they are reached through this Service.
    ByHand(NamespacedName),
    /// Somebody else does, and no Service is named: the host that is instead.
    Elsewhere(String),
}

impl Deployed {
    /// Who deploys the proxies of this Gateway. An address of type `Hostname` names the Service of a manual deployment: `NAME` in the
    /// Gateway's own namespace, `NAME.NAMESPACE` in any, or that with what cluster DNS adds.
    pub fn of(gateway: &Object<Gateway>) -> Self {
        let name = || infrastructure_name(&gateway.metadata.name, &gateway.gateway_class_name);
        let namespace = &gateway.metadata.namespace;
        let host = gateway.addresses.iter().find(|a| &*a.kind == "Hostname" && !a.value.is_empty());
        match host.map(|host| (service_of(&host.value, namespace), &host.value)) {
            Some((Some(service), _)) => Self::ByHand(service),
            Some((None, host)) => Self::Elsewhere(host.to_string()),
            None if gateway.metadata.label(MANAGED_LABEL).is_some_and(|by| by != MANAGED_BY) => {
                Self::ByHand(NamespacedName::new(namespace.clone(), name()))
            }
            None => Self::ByUs(name()),
        }
    }
}

/// The Service that a host name stands for.
fn service_of(host: &str, own: &Arc<str>) -> Option<NamespacedName> {
    let mut parts = host.splitn(3, '.');
    let (service, namespace, suffix) = (parts.next()?, parts.next(), parts.next());
    let namespace = namespace.map_or_else(|| own.clone(), Arc::from);
    matches!(suffix, None | Some("svc" | "svc.cluster.local")).then(|| NamespacedName::new(namespace, service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tombolo_api::AnyObject;

    #[test]
    fn a_name_is_short_enough_for_services_and_tells_gateways_apart() {
        assert_eq!(infrastructure_name("edge", "tombolo"), "edge-tombolo");
        let long = "g".repeat(100);
        let (one, other) = (infrastructure_name(&long, "tombolo"), infrastructure_name(&long, "istio"));
        assert!(one.len() == LONGEST && other.len() == LONGEST && one != other, "{one} {other}");
        let exact = "g".repeat(LONGEST - "-tombolo".len());
        assert_eq!(infrastructure_name(&exact, "tombolo"), format!("{exact}-tombolo"));
        let dotted = infrastructure_name("a.example", "tombolo");
        assert!(dotted.starts_with("a-example-tombolo-") && dotted != infrastructure_name("a-example", "tombolo"));
        assert!(!infrastructure_name(&format!("{}.b", "a".repeat(53)), "tombolo").contains("--"));
    }

    fn deployed(metadata: &str, addresses: &str) -> Deployed {
        let yaml = format!(
            "{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: edge, namespace: infra{metadata}}}, \
             spec: {{gatewayClassName: tombolo, addresses: [{addresses}], listeners: [{{name: h, port: 80, protocol: HTTP}}]}}}}"
        );
        match testing::objects(&yaml).remove(0) {
            AnyObject::Gateway(gateway) => Deployed::of(&gateway),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_host_name_is_the_service_of_a_manual_deployment() {
        let by_hand = |namespace: &str, name: &str| Deployed::ByHand(NamespacedName::new(namespace, name));
        for host in ["own", "own.infra", "own.infra.svc", "own.infra.svc.cluster.local"] {
            assert_eq!(deployed("", &format!("{{type: Hostname, value: {host}}}")), by_hand("infra", "own"));
        }
        for host in ["own.other", "own.other.svc", "own.other.svc.cluster.local"] {
            assert_eq!(deployed("", &format!("{{type: Hostname, value: {host}}}")), by_hand("other", "own"));
        }
        for host in ["own.infra.svc.example.com", "www.example.com"] {
            assert_eq!(deployed("", &format!("{{type: Hostname, value: {host}}}")), Deployed::Elsewhere(host.into()));
        }
        let ours = Deployed::ByUs("edge-tombolo".into());
        for addresses in ["", "{type: Hostname}", "{type: IPAddress}", "{value: 10.0.0.1}"] {
            assert_eq!(deployed("", addresses), ours, "{addresses}");
        }
        assert_eq!(deployed(&format!(", labels: {{{MANAGED_LABEL}: other}}"), ""), by_hand("infra", "edge-tombolo"));
        assert_eq!(deployed(&format!(", labels: {{{MANAGED_LABEL}: {MANAGED_BY}}}"), ""), ours);
    }
}
