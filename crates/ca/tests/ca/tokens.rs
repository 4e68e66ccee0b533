//! Tokens that are refused, by name, and keys that change.

use crate::support::{DENIED, HOUR, INSTANCE, Mesh, UNAUTHENTICATED, by_token, request, spec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SigningKey as _};
use serde_json::{Value, json};
use std::sync::Arc;
use tombolo_ca::{
    Answer, Authority, FetchError, FetchKeys, Jwks, JwksError, KeyRing, LocalIssuer, Ports, Refusal, ReviewError,
    ReviewTokens, Settings, TokenRules, TokenVerifier, TrustedIssuer,
};
use tombolo_core::TrustDomain;
use x509_parser::{asn1_rs::FromDer as _, public_key::RSAPublicKey};

#[tokio::test]
async fn garbage_is_no_token() {
    let good = Mesh::new().token();
    let (header, _) = good.split_once('.').unwrap();
    let oversized = format!("{good}{}", "A".repeat(16 * 1024));
    for token in ["", "x", "a.b.c", "....", &good.replace('.', ""), &oversized, &format!("{header}..")] {
        let (reason, code) = Mesh::new().refused_token(token).await;
        assert!(matches!(reason, "garbage_token" | "token_signature" | "unknown_key"), "{token}: {reason}");
        assert_eq!(code, UNAUTHENTICATED);
    }
    let mesh = Mesh::new();
    assert_eq!(mesh.refused_token("a.b.c").await.0, "garbage_token");
    let mesh = Mesh::new();
    let without_end = mesh.forged(|claims| drop(claims.as_object_mut().unwrap().remove("exp")));
    assert_eq!(mesh.refused_token(&without_end).await.0, "garbage_token", "a token without an end counts for ever");
}

#[tokio::test]
async fn tokens_of_other_clusters_have_unknown_keys() {
    let mesh = Mesh::new();
    let token = LocalIssuer::create("https://issuer.test").unwrap().token(&spec(None), mesh.now).unwrap();
    assert_eq!(mesh.refused_token(&token).await, ("unknown_key", UNAUTHENTICATED));
}

#[tokio::test]
async fn a_changed_token_is_found_out() {
    let mesh = Mesh::new();
    let (one, other) = (mesh.token(), mesh.forged(|claims| claims["sub"] = json!("system:serviceaccount:shop:admin")));
    let (head, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = one.rsplit_once('.').unwrap();
    assert_eq!(mesh.refused_token(&format!("{head}.{signature}")).await, ("token_signature", UNAUTHENTICATED));
}

/// The key's algorithm decides, not the token's header: with `none`, or the public key as an HMAC secret, anybody could sign.
#[tokio::test]
async fn a_token_does_not_choose_its_algorithm() {
    let mesh = Mesh::new();
    let document: Value = serde_json::from_slice(&mesh.issuer.jwks_document().unwrap()).unwrap();
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = document["keys"][0]["kid"].as_str().map(str::to_owned);
    let secret = jsonwebtoken::EncodingKey::from_secret(&mesh.issuer.jwks_document().unwrap());
    let token = jsonwebtoken::encode(&header, &json!({ "sub": "x" }), &secret).unwrap();
    assert_eq!(mesh.refused_token(&token).await, ("token_signature", UNAUTHENTICATED));
}

/// Signs as other issuers do, with any kind of key: Kubernetes' own is RSA.
fn sign_as(key: &KeyPair, header: &Value, payload: &str) -> String {
    let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn keys_of_kubernetes_and_of_others_count() {
    let mesh = Mesh::new();
    let token = mesh.token();
    let payload = token.split('.').nth(1).unwrap();
    let [rsa, edwards] = [
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
        KeyPair::generate_for(&PKCS_ED25519).unwrap(),
    ];
    let (_, public) = RSAPublicKey::from_der(rsa.public_key_raw()).unwrap();
    // DER puts a zero before numbers whose first bit is set; JSON does not.
    let modulus = public.modulus.strip_prefix(&[0]).unwrap();
    let [n, e] = [modulus, public.exponent].map(|number| URL_SAFE_NO_PAD.encode(number));
    let x = URL_SAFE_NO_PAD.encode(edwards.public_key_raw());
    let keys = json!({ "keys": [
        { "kty": "RSA", "use": "sig", "kid": "r", "alg": "RS256", "n": n, "e": e },
        { "kty": "OKP", "crv": "Ed25519", "x": x },
        { "kty": "EC", "crv": "P-521", "kid": "unknown curves are passed over", "x": "AA", "y": "AA" },
        { "kty": "oct", "kid": "h", "k": "c2VjcmV0" },
    ]});
    let keys = Jwks::parse(keys.to_string().as_bytes()).unwrap();
    assert_eq!(keys.len(), 2);
    let verifier =
        TokenVerifier::new(TokenRules::new(TrustDomain::default(), "https://issuer.test"), KeyRing::new(keys).into());
    let verify = |token: &str| verifier.verify(token, mesh.now).map_err(|refusal| refusal.reason());
    let by_rsa = verify(&sign_as(&rsa, &json!({ "alg": "RS256", "kid": "r" }), payload)).unwrap();
    assert_eq!(
        by_rsa,
        verifier.verify(&sign_as(&rsa, &json!({ "alg": "RS256" }), payload), mesh.now).unwrap(),
        "without a kid all are tried"
    );
    // A key without a name fits any.
    assert!(verify(&sign_as(&edwards, &json!({ "alg": "EdDSA", "kid": "e" }), payload)).is_ok());
    assert_eq!(verify(&sign_as(&edwards, &json!({ "alg": "EdDSA", "kid": "r" }), payload)), Err("token_signature"));
    let critical = json!({ "alg": "RS256", "kid": "r", "crit": ["b64"], "b64": false });
    assert_eq!(verify(&sign_as(&rsa, &critical, payload)), Err("garbage_token"));
}

#[test]
fn documents_that_are_no_key_sets_are_refused() {
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([7; 32]) });
    let parse = |value: Value| Jwks::parse(value.to_string().as_bytes());
    assert!(matches!(parse(json!({ "keys": [] })), Err(JwksError::Empty)));
    assert!(matches!(parse(json!([])), Err(JwksError::Malformed(_))));
    assert!(matches!(parse(json!({ "keys": vec![key; 33] })), Err(JwksError::TooMany(33))));
    assert!(matches!(Jwks::parse(&[b' '; 300_000]), Err(JwksError::Oversized(300_000))));
}

#[tokio::test]
async fn claims_of_others_are_refused_by_name() {
    type Case = (&'static str, fn(&mut Value));
    let cases: [Case; 10] = [
        ("wrong_issuer", |claims| claims["iss"] = json!("https://other.test")),
        ("wrong_audience", |claims| claims["aud"] = json!(["vault", "x".repeat(10_000)])),
        ("wrong_audience", |claims| claims["aud"] = json!("vault")),
        ("wrong_audience", |claims| drop(claims.as_object_mut().unwrap().remove("aud"))),
        ("not_service_account", |claims| claims["sub"] = json!("user@example.com")),
        ("not_service_account", |claims| drop(claims.as_object_mut().unwrap().remove("kubernetes.io"))),
        ("not_service_account", |claims| claims["kubernetes.io"]["namespace"] = json!("kube-system")),
        ("not_service_account", |claims| claims["sub"] = json!("system:serviceaccount:kube-system:reviews")),
        ("not_service_account", |claims| {
            claims["sub"] = json!("system:serviceaccount:shop:a/b");
            claims["kubernetes.io"]["serviceaccount"]["name"] = json!("a/b");
        }),
        ("token_expired", |claims| claims["exp"] = json!(-1.5e300)),
    ];
    for (reason, change) in cases {
        let mesh = Mesh::new();
        let token = mesh.forged(change);
        assert_eq!(mesh.refused_token(&token).await, (reason, UNAUTHENTICATED));
    }
}

#[tokio::test]
async fn tokens_count_between_their_times_give_or_take_the_skew() {
    let mut mesh = Mesh::new();
    let (issued, token) = (mesh.now, mesh.token());
    let second = std::time::Duration::from_secs(1);
    for (at, reason) in [
        (issued - 31 * second, Some("token_not_yet_valid")),
        (issued - 30 * second, None),
        (issued + HOUR + 29 * second, None),
        (issued + HOUR + 30 * second, Some("token_expired")),
    ] {
        mesh.now = at;
        let outcome = mesh.issue(by_token(&token), &request(&KeyPair::generate().unwrap())).await;
        assert_eq!(outcome.err().map(|refusal| refusal.reason()), reason);
    }
    let mesh = Mesh::new();
    let future = mesh.forged(|claims| claims["nbf"] = json!(u64::MAX));
    assert_eq!(mesh.refused_token(&future).await.0, "token_not_yet_valid");
}

#[tokio::test]
async fn a_token_dies_with_what_it_is_bound_to() {
    let mesh = Mesh::new();
    mesh.world.gone.lock().unwrap().insert(INSTANCE.to_owned());
    assert_eq!(mesh.refused_token(&mesh.token()).await, ("gone", DENIED));
    let refusal = mesh.authority.authenticate(by_token(&mesh.token()), mesh.now).await.unwrap_err();
    assert_eq!(refusal.reason(), "gone", "a replayed token opens no stream either");
}

/// Keys that are elsewhere, and how often they were asked for.
struct Elsewhere(std::sync::Mutex<(Jwks, u32)>);

impl FetchKeys for Elsewhere {
    fn fetch(&self) -> Answer<'_, Result<Jwks, FetchError>> {
        let mut state = self.0.lock().unwrap();
        state.1 += 1;
        Box::pin(std::future::ready(Ok(state.0.clone())))
    }
}

#[tokio::test]
async fn unknown_keys_are_looked_for_but_not_at_every_forged_token() {
    let mesh = Mesh::new();
    let next = LocalIssuer::create("https://issuer.test").unwrap();
    let both = {
        let [old, new] = [&mesh.issuer, &next].map(|issuer| {
            let document: Value = serde_json::from_slice(&issuer.jwks_document().unwrap()).unwrap();
            document["keys"][0].clone()
        });
        Jwks::parse(json!({ "keys": [old, new] }).to_string().as_bytes()).unwrap()
    };
    let elsewhere = Arc::new(Elsewhere(std::sync::Mutex::new((both, 0))));
    let authority = mesh.with_ports(Some(elsewhere.clone()), mesh.signer.clone());
    let issue =
        async |token: &str| authority.issue(by_token(token), &request(&KeyPair::generate().unwrap()), mesh.now).await;
    let token = next.token(&spec(None), mesh.now).unwrap();
    assert!(issue(&token).await.is_ok(), "the issuer has rotated its keys");
    assert!(issue(&mesh.token()).await.is_ok(), "tokens of before count");
    let forged = LocalIssuer::create("https://issuer.test").unwrap().token(&spec(None), mesh.now).unwrap();
    for _ in 0..50 {
        assert!(matches!(issue(&forged).await, Err(Refusal::UnknownKey(_))));
    }
    assert_eq!(elsewhere.0.lock().unwrap().1, 1, "forged tokens must not become requests to the issuer");
}

/// Each issuer's keys count for its own tokens: who holds one issuer's key cannot sign in another's name.
#[tokio::test]
async fn several_issuers_are_kept_apart() {
    let mesh = Mesh::new();
    let cluster = LocalIssuer::create("https://kubernetes.default.svc").unwrap();
    let impostor = LocalIssuer::create("https://issuer.test").unwrap();
    let jwks = |issuers: [&LocalIssuer; 2]| {
        let key = |issuer: &LocalIssuer| {
            let document: Value = serde_json::from_slice(&issuer.jwks_document().unwrap()).unwrap();
            document["keys"][0].clone()
        };
        Jwks::parse(json!({ "keys": issuers.map(key) }).to_string().as_bytes()).unwrap()
    };
    // The cluster's document has a key with which somebody signs as the mesh's own issuer.
    let keys = [("https://issuer.test", mesh.issuer.jwks().unwrap()), (cluster.issuer(), jwks([&cluster, &impostor]))];
    let trusted = keys.map(|(issuer, keys)| {
        TokenVerifier::new(TokenRules::new(TrustDomain::default(), issuer), KeyRing::new(keys).into()).into()
    });
    let authority = mesh.with_issuers(trusted.into());
    let outcome = async |token: String| {
        let issued = authority.issue(by_token(&token), &request(&KeyPair::generate().unwrap()), mesh.now).await;
        issued.map(drop).map_err(|refusal| refusal.reason())
    };
    assert_eq!(outcome(mesh.token()).await, Ok(()));
    assert_eq!(outcome(cluster.token(&spec(None), mesh.now).unwrap()).await, Ok(()));
    assert_eq!(outcome(impostor.token(&spec(None), mesh.now).unwrap()).await, Err("unknown_key"));
    let other = LocalIssuer::create("https://other.test").unwrap();
    assert_eq!(outcome(other.token(&spec(None), mesh.now).unwrap()).await, Err("wrong_issuer"));
    for garbage in ["", "a.b.c", "..", "a.e30.c"] {
        assert_eq!(outcome(garbage.to_owned()).await, Err("garbage_token"), "{garbage:?}");
    }
}

/// An issuer that is asked, and what it says: `None` where it says nothing.
struct Reviewer(Option<bool>);

impl ReviewTokens for Reviewer {
    fn review<'a>(&'a self, _: &'a str, audiences: &'a [String]) -> Answer<'a, Result<bool, ReviewError>> {
        assert_eq!(audiences, ["istio-ca"]);
        Box::pin(std::future::ready(self.0.ok_or_else(|| ReviewError("away".into()))))
    }
}

#[tokio::test]
async fn where_keys_cannot_be_had_the_issuer_is_asked() {
    let mesh = Mesh::new();
    let outcome = async |says: Option<bool>, token: &str| {
        let rules = TokenRules { issuers: Vec::new(), ..TokenRules::new(TrustDomain::default(), "") };
        let tokens = vec![TrustedIssuer::reviewing(rules, Arc::new(Reviewer(says)))];
        let ports = Ports { tokens, exists: mesh.world.clone(), signer: mesh.signer.clone() };
        let authority = Authority::new(Settings::new(TrustDomain::default()), ports);
        authority.authenticate(by_token(token), mesh.now).await.map_err(|refusal| refusal.reason())
    };
    let good = mesh.token();
    assert_eq!(outcome(Some(true), &good).await.unwrap().id.to_string(), crate::support::ID);
    assert_eq!(outcome(Some(false), &good).await.unwrap_err(), "token_not_genuine");
    assert_eq!(outcome(None, &good).await.unwrap_err(), "token_unreviewed");
    // What it says of itself is judged all the same.
    let late = mesh.forged(|claims| claims["exp"] = json!(1));
    assert_eq!(outcome(Some(true), &late).await.unwrap_err(), "token_expired");
    assert_eq!(outcome(Some(true), "a.b.c").await.unwrap_err(), "garbage_token");
}

#[tokio::test]
async fn keys_that_can_be_had_after_all_take_the_reviewers_place() {
    let mesh = Mesh::new();
    let rules = TokenRules { issuers: Vec::new(), ..TokenRules::new(TrustDomain::default(), "") };
    let issuer = TrustedIssuer::reviewing(rules, Arc::new(Reviewer(None)));
    let authority = mesh.with_issuers(vec![issuer.clone()]);
    let outcome = async |token: &str| {
        let outcome = authority.authenticate(by_token(token), mesh.now).await;
        outcome.map(|caller| caller.id.to_string()).map_err(|refusal| refusal.reason())
    };
    let good = mesh.token();
    assert_eq!(outcome(&good).await, Err("token_unreviewed"));
    let rules = TokenRules::new(TrustDomain::default(), "https://issuer.test");
    let verifier = TokenVerifier::new(rules, Arc::new(KeyRing::new(mesh.issuer.jwks().unwrap())));
    issuer.check_by_keys(verifier, Arc::new(Nothing));
    assert_eq!(outcome(&good).await.as_deref(), Ok(crate::support::ID));
    let foreign = LocalIssuer::create("https://issuer.test").unwrap().token(&spec(None), mesh.now).unwrap();
    assert_eq!(outcome(&foreign).await, Err("unknown_key"));
}

/// Keys that cannot be read again.
struct Nothing;

impl FetchKeys for Nothing {
    fn fetch(&self) -> Answer<'_, Result<Jwks, FetchError>> {
        Box::pin(std::future::ready(Err(FetchError("away".into()))))
    }
}
