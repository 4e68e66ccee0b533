//! What texts look like, for the schemas of this group's kinds.

/// The name of an image, or its beginning: no blanks. See [`no_scheme`] too.
pub(super) const NAME: &str = r"^\S+$";
/// The name of most objects.
pub(super) const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A signer of Kubernetes' certificates API: a name like those of objects, a slash, and a name of the signer's own.
pub(super) const SIGNER: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/.+$";
/// The value of a label.
pub(super) const LABEL_VALUE: &str = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";

/// The longest name of an image that is read.
pub(super) const MOST_IMAGE: usize = 512;
/// The longest name of a signer.
pub(super) const MOST_SIGNER: usize = 571;
/// The most other trust domains.
pub(super) const MOST_ALIASES: usize = 64;

/// What images are not named with.
pub(super) fn no_scheme() -> serde_json::Value {
    serde_json::json!([{"rule": "!self.contains('://')", "message": "an image's name has no scheme"}])
}
