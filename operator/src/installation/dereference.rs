//! What an installation's reconciliation reads.

use crate::{apply::Live, context::Context, failure::Failure, kinds, names};
use kube::{ResourceExt, api::DynamicObject};

/// What there is beside an installation.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The revision of its name.
    pub(crate) revision: Option<Live>,
    /// The tag `default`.
    pub(crate) tag: Option<Live>,
    /// The GatewayClass `tombolo`.
    pub(crate) class: Option<Live>,
    /// The definition of GatewayClass.
    pub(crate) gateway_api: Option<Live>,
}

pub(super) async fn read(object: &DynamicObject, context: &Context) -> Result<Seen, Failure> {
    let gateway_api = context.get(kinds::DEFINITION, "gatewayclasses.gateway.networking.k8s.io").await?;
    let class = match gateway_api {
        Some(_) => context.get(kinds::GATEWAY_CLASS, names::GATEWAY_CLASS).await?,
        None => None,
    };
    Ok(Seen {
        revision: context.get(kinds::REVISION, &object.name_any()).await?,
        tag: context.get(kinds::TAG, names::DEFAULT_TAG).await?,
        class,
        gateway_api,
    })
}
