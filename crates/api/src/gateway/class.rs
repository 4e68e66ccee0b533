//! GatewayClass: which controller serves a Gateway.

use super::{ParametersRef, validate};
use crate::{Object, Report, Spec, syntax};
use serde::Deserialize;
use std::sync::Arc;

const MOST_NAME: usize = 253;
const MOST_DESCRIPTION: usize = 64;

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
    fn validate(object: &Object<Self>, report: &mut Report) {
        let name = &*object.controller_name;
        let broken = if syntax::is_domain_prefixed_path(name) {
            syntax::too_long(name, MOST_NAME)
        } else {
            Some("write a domain, '/' and a path, as in example.com/gateway-controller".into())
        };
        validate::keeps(broken, "controller name", || validate::spec().key("controllerName"), report);
        let broken = object.description.as_ref().and_then(|text| syntax::too_long(text, MOST_DESCRIPTION));
        validate::keeps(broken, "description", || validate::spec().key("description"), report);
        if let Some(r) = &object.parameters_ref {
            validate::parameters(r, &validate::spec().key("parametersRef"), report);
        }
    }
}
