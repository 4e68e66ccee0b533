//! The API server as the issuer of tokens: who it is, and its keys.

use http::Request;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};
use serde::Deserialize;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
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

    /// Who it is, and its keys.
    async fn introduce(&self) -> Result<(String, Jwks), FetchError> {
        tokio::try_join!(self.issuer(), self.keys())
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

    fn issuer(&self) -> Answer<'_, Result<Option<String>, FetchError>> {
        Box::pin(async { Self::issuer(self).await.map(Some) })
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

/// Asks the API server who it is and for its keys, as often as it takes for it to answer. Keys that it withholds are asked for again
/// now and then.
pub(super) async fn open(client: &Client, domain: &TrustDomain) -> TrustedIssuer {
    let server = ApiServer(client.clone());
    let mut said = false;
    loop {
        match server.introduce().await {
            Ok((issuer, keys)) => {
                let (verifier, source) = by_keys(server, domain, issuer, keys);
                return TrustedIssuer::new(verifier, source);
            }
            Err(error) if is_withheld(&error) => {
                tracing::warn!(
                    "{error}; so each token is sent to the API server (TokenReview). To spare it that, let ServiceAccounts read {JWKS} (ClusterRole system:service-account-issuer-discovery): it is asked for again every {} minutes",
                    AGAIN.as_secs() / 60
                );
                let rules = TokenRules { issuers: Vec::new(), ..TokenRules::new(domain.clone(), "") };
                let issuer = TrustedIssuer::reviewing(rules, Arc::new(server.clone()));
                tokio::spawn(take_keys(issuer.clone(), server, domain.clone()));
                return issuer;
            }
            Err(error) if !std::mem::replace(&mut said, true) => tracing::warn!("{error}, trying again"),
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

/// Asks for the keys now and then, until they are given.
async fn take_keys(issuer: TrustedIssuer, server: ApiServer, domain: TrustDomain) {
    loop {
        sleep(again()).await;
        match server.introduce().await {
            Ok((name, keys)) => {
                let (verifier, source) = by_keys(server, &domain, name, keys);
                return issuer.check_by_keys(verifier, source);
            }
            Err(error) => tracing::debug!("{error}; tokens go on being sent to the API server"),
        }
    }
}

/// What checks tokens by these keys, which are followed.
fn by_keys(server: ApiServer, domain: &TrustDomain, issuer: String, keys: Jwks) -> (TokenVerifier, Arc<dyn FetchKeys>) {
    tracing::info!(issuer, keys = keys.len(), "tokens are checked by the API server's keys");
    let ring = Arc::new(KeyRing::new(keys));
    ring.name(issuer.clone(), SystemTime::now());
    let source: Arc<dyn FetchKeys> = Arc::new(server);
    tokio::spawn(follow(ring.clone(), source.clone()));
    (TokenVerifier::new(TokenRules::new(domain.clone(), issuer), ring), source)
}

/// Reads the keys and the issuer's name again now and then. A token with a new key, or of a new name, does not wait for that.
async fn follow(ring: Arc<KeyRing>, source: Arc<dyn FetchKeys>) {
    loop {
        sleep(again()).await;
        if let Err(error) = ring.read(&*source).await {
            tracing::debug!("{error}; the keys read before stay in use");
        }
    }
}

/// Replicas that start together do not ask together.
fn again() -> Duration {
    AGAIN.mul_f64(1.0 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Response, StatusCode};
    use kube::client::Body;
    use serde_json::{Value, json};
    use std::{
        convert::Infallible,
        sync::{
            Mutex,
            atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        },
    };
    use tombolo_ca::{
        Authority, Everybody, Issuing, LocalIssuer, LocalSigner, Ports, Proof, Roots, RotationPolicy, Settings,
        TokenSpec,
    };

    const ISSUER: &str = "https://kubernetes.default.svc";

    /// An API server that gives its keys, or does not, and takes every token that it is asked about.
    #[derive(Clone)]
    struct Server {
        issuer: Arc<LocalIssuer>,
        /// What it calls itself.
        name: Arc<Mutex<&'static str>>,
        gives: Arc<AtomicBool>,
        keys_asked: Arc<AtomicUsize>,
        reviews: Arc<AtomicUsize>,
    }

    impl Server {
        fn new(gives: bool) -> Self {
            let issuer = Arc::new(LocalIssuer::create(ISSUER).unwrap());
            Self {
                issuer,
                name: Arc::new(Mutex::new(ISSUER)),
                gives: Arc::new(gives.into()),
                keys_asked: Arc::default(),
                reviews: Arc::default(),
            }
        }

        fn client(&self) -> Client {
            let server = self.clone();
            let service = tower::service_fn(move |request: Request<Body>| {
                let (code, body) = server.answer(request.uri().path());
                let body = Body::from(body.to_string().into_bytes());
                std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap()))
            });
            Client::new(service, "default")
        }

        fn answer(&self, path: &str) -> (StatusCode, Value) {
            match path {
                CONFIGURATION => (StatusCode::OK, json!({ "issuer": *self.name.lock().unwrap() })),
                JWKS => {
                    self.keys_asked.fetch_add(1, Relaxed);
                    if self.gives.load(Relaxed) {
                        (StatusCode::OK, serde_json::from_slice(&self.issuer.jwks_document().unwrap()).unwrap())
                    } else {
                        let status = json!({"kind": "Status", "status": "Failure", "code": 403, "message": "no", "reason": "Forbidden"});
                        (StatusCode::FORBIDDEN, status)
                    }
                }
                _ => {
                    assert!(path.ends_with("/tokenreviews"), "{path}");
                    self.reviews.fetch_add(1, Relaxed);
                    let status = json!({"authenticated": true, "audiences": ["istio-ca"]});
                    (StatusCode::CREATED, json!({"metadata": {}, "spec": {"token": ""}, "status": status}))
                }
            }
        }

        /// It is called otherwise from now on, and signs with the same key. Returns a token as it makes them now.
        fn rename(&self, name: &'static str) -> String {
            *self.name.lock().unwrap() = name;
            let mut issuer: Value = serde_json::from_slice(&self.issuer.to_json().unwrap()).unwrap();
            issuer["issuer"] = name.into();
            Self::token_of(&LocalIssuer::from_json(issuer.to_string().as_bytes()).unwrap())
        }

        fn token(&self) -> String {
            Self::token_of(&self.issuer)
        }

        fn token_of(issuer: &LocalIssuer) -> String {
            let spec = TokenSpec {
                namespace: "shop",
                service_account: "reviews",
                uid: "u",
                audience: "istio-ca",
                lifetime: Duration::from_secs(3600),
                ..TokenSpec::default()
            };
            issuer.token(&spec, SystemTime::now()).unwrap()
        }

        /// Waits for the keys to be asked for once more than `before`.
        async fn asked_again(&self, before: usize) {
            while self.keys_asked.load(Relaxed) <= before {
                sleep(Duration::from_secs(1)).await;
            }
            // What was asked is answered at once, and taken in by then.
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn authority(server: &Server) -> Authority {
        let issuer = open(&server.client(), &TrustDomain::default()).await;
        let roots =
            Roots::create(&TrustDomain::default(), SystemTime::now(), RotationPolicy::default().lifetime).unwrap();
        let signer = Arc::new(LocalSigner::new(Issuing::self_signed(&roots).unwrap()));
        let ports = Ports { tokens: vec![issuer], exists: Arc::new(Everybody), signer };
        Authority::new(Settings::new(TrustDomain::default()), ports)
    }

    async fn takes(authority: &Authority, token: &str) -> bool {
        let proof = Proof { token: Some(token), ..Proof::default() };
        authority.authenticate(proof, SystemTime::now()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_reviewed_until_the_keys_can_be_read() {
        let server = Server::new(false);
        let authority = authority(&server).await;
        assert!(takes(&authority, &server.token()).await);
        assert_eq!(server.reviews.load(Relaxed), 1);
        server.asked_again(1).await;
        assert!(takes(&authority, &server.token()).await);
        assert_eq!(server.reviews.load(Relaxed), 2, "still withheld");

        server.gives.store(true, Relaxed);
        server.asked_again(2).await;
        assert!(takes(&authority, &server.token()).await);
        assert_eq!(server.reviews.load(Relaxed), 2, "checked here");
        assert!(!takes(&authority, &Server::new(true).token()).await, "a foreign key");
        assert_eq!(server.reviews.load(Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_issuer_that_is_renamed_is_known_by_both_names() {
        let server = Server::new(true);
        let authority = authority(&server).await;
        let old = server.token();
        let new = server.rename("https://cluster.example.com");
        assert!(takes(&authority, &new).await, "its name is read again");
        assert!(takes(&authority, &old).await, "tokens outlive the change");
        let asked = server.keys_asked.load(Relaxed);
        let other = server.rename("https://other.example.com");
        *server.name.lock().unwrap() = ISSUER;
        assert!(!takes(&authority, &other).await);
        assert!(!takes(&authority, &other).await);
        assert!(server.keys_asked.load(Relaxed) <= asked + 1, "not for each token");
        *server.name.lock().unwrap() = "https://other.example.com";
        server.asked_again(asked).await;
        assert!(takes(&authority, &other).await, "now and then it is asked anyway");
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_are_withheld_later_go_on_being_used() {
        let server = Server::new(true);
        let authority = authority(&server).await;
        server.gives.store(false, Relaxed);
        server.asked_again(1).await;
        assert!(takes(&authority, &server.token()).await);
        assert_eq!(server.reviews.load(Relaxed), 0);
    }
}
