//! The API server as the issuer of tokens: who it is, and its keys.

use http::Request;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tombolo_ca::{
    Answer, FetchError, FetchKeys, Jwks, KeyRing, ReviewError, ReviewTokens, TokenRules, TokenVerifier, TrustedIssuer,
};
use tombolo_core::TrustDomain;

/// OpenID Connect Discovery 1.0, section 4.
const CONFIGURATION: &str = "/.well-known/openid-configuration";
/// Where an API server has its keys; the document's own `jwks_uri` is for those who are elsewhere.
const JWKS: &str = "/openid/v1/jwks";
/// Keys that were withdrawn end here too.
const AGAIN: Duration = Duration::from_secs(300);
/// Before the API server is asked again that did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// A caller waits for this.
const REVIEW: Duration = Duration::from_secs(5);

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
        Box::pin(self.keys())
    }
}

impl ReviewTokens for ApiServer {
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> Answer<'a, Result<bool, ReviewError>> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: Some(audiences.to_vec()) };
        let review = TokenReview { spec, ..TokenReview::default() };
        Box::pin(async move {
            let api = Api::<TokenReview>::all(self.0.clone());
            let answer = timeout(REVIEW, api.create(&PostParams::default(), &review)).await;
            let answer = answer.map_err(|late| ReviewError(late.into()))?.map_err(|error| ReviewError(error.into()))?;
            let status = answer.status.unwrap_or_default();
            // An API server that knows no audiences does not say any: then its own were checked, which is another's token.
            let ours = |named: Vec<String>| named.iter().any(|audience| audiences.contains(audience));
            Ok(status.authenticated == Some(true) && status.audiences.is_some_and(ours))
        })
    }
}

/// The API server answers, and does not give its keys.
fn is_withheld(error: &FetchError) -> bool {
    match error.0.downcast_ref() {
        Some(kube::Error::Api(status)) => matches!(status.code, 401 | 403 | 404),
        _ => false,
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
            Err(error) if is_withheld(&error) => {
                tracing::warn!(
                    "{error}; so each token is sent to the API server (TokenReview). To spare it that, let ServiceAccounts read {JWKS} (ClusterRole system:service-account-issuer-discovery), and start again"
                );
                let rules = TokenRules { issuers: Vec::new(), ..TokenRules::new(domain.clone(), "") };
                return TrustedIssuer::reviewing(rules, Arc::new(server));
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
