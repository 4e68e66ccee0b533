//! Which channel of the Gateway API is defined: a fact for translation, which claims nothing that the API server would drop.

use crate::{metrics::WatchMetrics, watched::Watched};
use futures::{Stream, StreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use std::{pin::pin, time::Duration};
use tombolo_controlplane::ControlPlane;
use tombolo_kubernetes::retry::Failure;
use tombolo_translate::engine::{Fact, Relation};

/// The definition of which all are that have experimental fields.
const ROUTES: &str = "metadata.name=httproutes.gateway.networking.k8s.io";
/// Where the channel stands (GEP-922), and the one whose routes have no experimental fields.
const CHANNEL: &str = "gateway.networking.k8s.io/channel";
const STANDARD: &str = "standard";
/// Before the API server is asked again.
const PAUSE: Duration = Duration::from_secs(1);

type Definition = PartialObjectMeta<CustomResourceDefinition>;

/// Tells translation which channel is defined.
pub(crate) struct Channel {
    client: Client,
    is_standard: bool,
}

impl Channel {
    /// Reads it, as often as that takes: otherwise features would be claimed and taken back. Who may not read it claims all.
    pub(crate) async fn read(client: Client) -> Self {
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        let is_standard = loop {
            match api.list_metadata(&ListParams::default().fields(ROUTES)).await {
                Ok(list) => break list.items.iter().any(is_standard),
                Err(error) if Failure::of(&error) == Failure::Forbidden => {
                    tracing::warn!(
                        "the channel of the Gateway API cannot be read, and is taken to be experimental: {error}"
                    );
                    break false;
                }
                Err(error) => tracing::warn!("the API server does not list definitions, asking again: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        };
        Self { client, is_standard }
    }

    /// What is known.
    pub(crate) fn facts(&self) -> Vec<(Relation, Fact)> {
        self.members().into_iter().map(|fact| (Relation::StandardChannel, fact)).collect()
    }

    /// Keeps it current until the control plane stops.
    pub(crate) async fn follow(self, plane: ControlPlane, metrics: &WatchMetrics) {
        let api = Api::<Definition>::all(self.client.clone());
        let config = watcher::Config::default().fields(ROUTES);
        let events = tombolo_kubernetes::watch::events(api, config);
        let events = Watched::new(metrics, "CustomResourceDefinition", "channel").events(events);
        tokio::select! {
            () = plane.stopped() => {}
            () = self.take(events, &plane) => {}
        }
    }

    async fn take(mut self, events: impl Stream<Item = Event<Definition>>, plane: &ControlPlane) {
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            // A definition that is gone has taken its routes along, and comes back with a channel of its own.
            if let Event::InitApply(definition) | Event::Apply(definition) = event
                && std::mem::replace(&mut self.is_standard, is_standard(&definition)) != self.is_standard
                && plane.replace(Relation::StandardChannel, self.members()).await.is_err()
            {
                return;
            }
        }
    }

    fn members(&self) -> Vec<Fact> {
        self.is_standard.then_some(Fact::Unit).into_iter().collect()
    }
}

fn is_standard(definition: &Definition) -> bool {
    definition.annotations().get(CHANNEL).is_some_and(|channel| channel == STANDARD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use std::convert::Infallible;

    /// An API server whose definition is of this channel.
    fn api_server(channel: &'static str) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let query = request.uri().query().unwrap_or_default();
            assert!(query.contains("httproutes.gateway.networking.k8s.io"), "no other definition is read: {query}");
            let annotations = json!({"annotations": {CHANNEL: channel}});
            let body = json!({"metadata": {"resourceVersion": "1"}, "items": [{"metadata": annotations}]});
            Ok::<_, Infallible>(Response::new(Body::from(body.to_string().into_bytes())))
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn the_standard_channel_is_a_fact() {
        let of = async |channel| Channel::read(api_server(channel)).await.facts();
        assert_eq!(of("standard").await, [(Relation::StandardChannel, Fact::Unit)]);
        assert_eq!(of("experimental").await, []);
    }
}
