//! GatewayClass: which controller serves a Gateway.

use super::ParametersRef;
use crate::{Object, Report, Spec};
use serde::Deserialize;
use std::sync::Arc;

/// `GatewayClassSpec`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClass {
    /// A domain-prefixed path; ours is [`super::CONTROLLER`].
    pub controller_name: Arc<str>,
    /// Defaults for the class's Gateways.
    pub parameters_ref: Option<ParametersRef>,
    /// For people.
    pub description: Option<Arc<str>>,
}

impl Spec for GatewayClass {
    fn validate(_object: &Object<Self>, _report: &mut Report) {}
}
