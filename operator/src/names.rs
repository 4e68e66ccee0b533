//! What things are called: names, labels and annotations.

/// The field manager of whatever the operator writes.
pub(crate) const MANAGER: &str = "tombolo-operator";
/// The field manager of a count of replicas between two owners: see `revision::replicas`.
pub(crate) const HANDOVER: &str = "tombolo-operator-handover";

/// Who made an object.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The revision that an object is of.
pub(crate) const REVISION: &str = "istio.io/rev";
/// The tag that an object is of.
pub(crate) const TAG: &str = "istio.io/tag";
/// Which version of Tombolo a CustomResourceDefinition is of.
pub(crate) const CRD_VERSION: &str = "mesh.tombolo.dev/crd-version";
/// On a Deployment: that its count of replicas is an autoscaler's, or the count when autoscaling was switched off.
pub(crate) const REPLICAS: &str = "mesh.tombolo.dev/replicas";
/// On a namespace: its pods may read metrics and debug pages, where a NetworkPolicy closes them to others.
pub(crate) const MONITORING: &str = "mesh.tombolo.dev/monitoring";
/// While it is there, an installation that is deleted stays until no proxy is connected.
pub(crate) const FINALIZER: &str = "mesh.tombolo.dev/connected-proxies";

/// The tag that proxies are bound to if they name none.
pub(crate) const DEFAULT_TAG: &str = "default";
/// The GatewayClass that every installation has.
pub(crate) const GATEWAY_CLASS: &str = "tombolo";
/// Whose GatewayClasses are served.
pub(crate) const GATEWAY_CONTROLLER: &str = "mesh.tombolo.dev/gateway-controller";
/// The name of the control plane's program, of its container, and the beginning of its objects' names.
pub(crate) const DISCOVERY: &str = "tombolo-discovery";

/// The Secret with the certificate that control planes of a namespace show to the API server, and the authority behind it.
pub(crate) const WEBHOOK_SECRET: &str = "tombolo-webhook";

/// The name of the objects of a revision.
pub(crate) fn of_revision(revision: &str) -> String {
    format!("{DISCOVERY}-{revision}")
}

/// The name of the Service and of the webhook of a tag.
pub(crate) fn of_tag(tag: &str) -> String {
    if tag == DEFAULT_TAG { DISCOVERY.to_owned() } else { format!("{DISCOVERY}-{tag}") }
}

/// The ports of a control plane.
pub(crate) mod port {
    /// TLS: configuration and certificates.
    pub(crate) const DISCOVERY: u16 = 15012;
    /// Metrics and debug pages.
    pub(crate) const MONITORING: u16 = 15014;
    /// Admission.
    pub(crate) const WEBHOOK: u16 = 15017;
    /// Readiness.
    pub(crate) const HEALTH: u16 = 8080;
}
