//! A certificate request, and the key that it is for.

use super::PrivateKey;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use std::{collections::HashMap, time::Duration};
use tombolo_core::{InstanceId, SpiffeId};
use tombolo_proto::{
    agent::CertificateRequest,
    envoy::google::protobuf::{Struct, Value, value::Kind},
};

/// The key of the request's metadata that says which instance asks.
const INSTANCE_ID: &str = "InstanceId";

/// A new P-256 key, and the request for a certificate of it.
///
/// # Errors
/// The system has no randomness, or the identity cannot be written as a URI; both are not expected.
pub(crate) fn new(
    id: &SpiffeId,
    instance: &InstanceId,
    lifetime: Duration,
) -> Result<(PrivateKey, CertificateRequest), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(id.to_string().try_into()?)];
    let csr = params.serialize_request(&key)?.pem()?;
    let instance = Value { kind: Some(Kind::StringValue(instance.to_string())) };
    let metadata = Struct { fields: HashMap::from([(INSTANCE_ID.to_owned(), instance)]) };
    let validity_duration = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    Ok((PrivateKey::new(key.serialize_pem()), CertificateRequest { csr, validity_duration, metadata: Some(metadata) }))
}
