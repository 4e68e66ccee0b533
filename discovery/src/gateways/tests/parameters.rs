//! Which Gateways a ConfigMap is read for.

use super::super::{
    Place,
    apply::Writer,
    reconcile::{Reconciler, lock},
};
use kube::{Client, client::Body};
use std::{convert::Infallible, sync::Arc};
use tokio::sync::watch;
use tombolo_api::{Kind, ObjectKey};
use tombolo_controlplane::{ControlPlane, Setup, SystemClock};
use tombolo_core::{NamespacedName, SourceId};

#[tokio::test]
async fn a_gateway_that_is_gone_refers_to_nothing() {
    let setup = Setup {
        sources: Vec::new(),
        facts: Vec::new(),
        store: None,
        xds: tombolo_xds::Config::default(),
        clock: Arc::new(SystemClock),
    };
    let silent =
        tower::service_fn(|_: http::Request<Body>| std::future::pending::<Result<http::Response<Body>, Infallible>>());
    let reconciler = Reconciler {
        writer: Writer(Client::new(silent, "default")),
        plane: ControlPlane::start(setup).unwrap(),
        place: Place { namespace: "tombolo-system".into(), revision: "default".into() },
        leads: watch::channel(true).1,
        seen: Default::default(),
        parameters: Default::default(),
    };
    let name = |name: &str| NamespacedName::new("shop", name);
    let gone = ObjectKey { source: SourceId::new("here"), kind: Kind::Gateway, name: name("front") };
    lock(&reconciler.parameters).insert(gone.clone(), name("parameters"));
    reconciler.reconcile(&gone).await;
    assert!(lock(&reconciler.parameters).is_empty());
}
