//! The API server as the issuer of tokens: who it is, and its keys.

use futures::future::BoxFuture;
use http::Request;
use kube::Client;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tombolo_ca::{Answer, FetchError, FetchKeys, Jwks, KeyRing, TokenRules, TokenVerifier, TrustedIssuer};
use tombolo_core::TrustDomain;

/// OpenID Connect Discovery 1.0, section 4.
const CONFIGURATION: &str = "/.well-known/openid-configuration";
/// Where an API server has its keys; the document's own `jwks_uri` is for those who are elsewhere.
const JWKS: &str = "/openid/v1/jwks";
/// Keys that were withdrawn end here too.
const AGAIN: Duration = Duration::from_secs(300);
/// Before the API server is asked again that did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What of the document is read.
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
}

/// The API server's keys.
#[derive(Clone)]
struct ApiServer(Client);

impl ApiServer {
    async fn issuer(&self) -> Result<String, FetchError> {
        let text = self.get(CONFIGURATION).await?;
        let configuration: Configuration = serde_json::from_str(&text).map_err(|error| FetchError(error.into()))?;
        Ok(configuration.issuer)
    }

    async fn keys(&self) -> Result<Jwks, FetchError> {
        let text = self.get(JWKS).await?;
        Jwks::parse(text.as_bytes()).map_err(|error| FetchError(error.into()))
    }

    async fn get(&self, path: &str) -> Result<String, FetchError> {
        let request = Request::get(path).body(Vec::new()).map_err(|error| FetchError(error.into()))?;
        self.0.request_text(request).await.map_err(|error| FetchError(error.into()))
    }
}

impl FetchKeys for ApiServer {
    fn fetch(&self) -> Answer<'_, Result<Jwks, FetchError>> {
        let keys: BoxFuture<'_, _> = Box::pin(self.keys());
        keys
    }
}

/// Asks the API server who it is and for its keys, as often as it takes.
pub(super) async fn open(client: &Client, domain: &TrustDomain) -> TrustedIssuer {
    let server = ApiServer(client.clone());
    let mut said = false;
    loop {
        match tokio::try_join!(server.issuer(), server.keys()) {
            Ok((issuer, keys)) => {
                tracing::info!(issuer, keys = keys.len(), "tokens are checked by the API server's keys");
                return trusted(server, domain, issuer, keys);
            }
            Err(error) if !std::mem::replace(&mut said, true) => tracing::warn!("{error}, trying again"),
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

fn trusted(server: ApiServer, domain: &TrustDomain, issuer: String, keys: Jwks) -> TrustedIssuer {
    let ring = Arc::new(KeyRing::new(keys));
    let source: Arc<dyn FetchKeys> = Arc::new(server);
    tokio::spawn(follow(ring.clone(), source.clone()));
    TrustedIssuer::new(TokenVerifier::new(TokenRules::new(domain.clone(), issuer), ring), source)
}

/// Reads the keys again now and then. A token with a new key does not wait for that.
async fn follow(ring: Arc<KeyRing>, source: Arc<dyn FetchKeys>) {
    loop {
        sleep(AGAIN.mul_f64(1.0 + 0.2 * fastrand::f64())).await;
        match source.fetch().await {
            Ok(keys) => ring.replace(keys),
            Err(error) => tracing::debug!("{error}; the keys read before stay in use"),
        }
    }
}
