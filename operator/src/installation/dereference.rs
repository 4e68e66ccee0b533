//! What an installation's reconciliation reads.

use crate::{apply::Live, context::Context, definitions::GatewayApi, failure::Failure, kinds, names};
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
    /// The definitions of the Gateway API.
    pub(crate) gateway_api: GatewayApi,
}

pub(super) async fn read(object: &DynamicObject, context: &Context) -> Result<Seen, Failure> {
    let gateway_api = GatewayApi::read(context).await?;
    let class =
        if gateway_api.has_classes() { context.get(kinds::GATEWAY_CLASS, names::GATEWAY_CLASS).await? } else { None };
    Ok(Seen {
        revision: context.get(kinds::REVISION, &object.name_any()).await?,
        tag: context.get(kinds::TAG, names::DEFAULT_TAG).await?,
        class,
        gateway_api,
    })
}
