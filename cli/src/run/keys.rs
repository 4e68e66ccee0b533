//! Where an issuer of tokens keeps its keys: in a file, or behind a URL.

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::crypto::aws_lc_rs;
use std::{fmt, fs::File, io::Read, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};
use tombolo_ca::{Answer, FetchError, FetchKeys, Jwks};
use tombolo_core::with_causes;

/// Of a document of keys: an API server's has less than 2 KiB.
const MAX_BYTES: usize = 256 * 1024;
/// For a whole answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// In a file, which may be replaced.
    File(PathBuf),
    /// Behind a URL; redirects are not followed.
    Url(Uri),
}

impl FromStr for KeySource {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if !text.contains("://") {
            ensure!(!text.is_empty(), "name a file, or an https:// URL");
            return Ok(Self::File(text.into()));
        }
        let url: Uri = text.parse().context("not a URL")?;
        let host = url.host().unwrap_or_default();
        let loopback = host == "localhost" || is_loopback(host.trim_matches(['[', ']']));
        match url.scheme_str() {
            Some("https") => Ok(Self::Url(url)),
            Some("http") if loopback => Ok(Self::Url(url)),
            Some("http") => Err(anyhow!(
                "whoever is between here and {host} could put keys of their own in place of the issuer's: use https://"
            )),
            _ => Err(anyhow!("name a file, or an https:// URL")),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

/// Reads keys, over HTTPS where they are elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    source: KeySource,
    client: Option<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>,
}

impl Reader {
    /// Of that source.
    pub(crate) fn new(source: KeySource) -> anyhow::Result<Self> {
        let client = match &source {
            KeySource::File(_) => None,
            KeySource::Url(_) => {
                let tls = HttpsConnectorBuilder::new().with_provider_and_native_roots(aws_lc_rs::default_provider());
                let tls =
                    tls.context("this system's trusted certificates cannot be read: name a file in SSL_CERT_FILE")?;
                Some(Client::builder(TokioExecutor::new()).build(tls.https_or_http().enable_http1().build()))
            }
        };
        Ok(Self { source, client })
    }

    /// What is read.
    pub(crate) fn source(&self) -> &KeySource {
        &self.source
    }

    /// The document as it is now.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<u8>> {
        let bytes = match (&self.source, &self.client) {
            (KeySource::Url(url), Some(client)) => {
                let answer = tokio::time::timeout(PATIENCE, get(client, url.clone())).await;
                answer.map_err(|_| anyhow!("no answer within {} s", PATIENCE.as_secs()))?
            }
            (KeySource::File(path), _) => read_file(path),
            (KeySource::Url(_), None) => Err(anyhow!("there is no client for URLs")),
        };
        bytes.with_context(|| format!("cannot read the token issuer's keys from {}", self.source))
    }

    /// The keys as they are now.
    pub(crate) async fn keys(&self) -> anyhow::Result<Jwks> {
        self.parse(&self.read().await?)
    }

    /// The keys of a document.
    pub(crate) fn parse(&self, document: &[u8]) -> anyhow::Result<Jwks> {
        Jwks::parse(document).with_context(|| self.source.to_string())
    }
}

impl FetchKeys for Reader {
    fn fetch(&self) -> Answer<'_, Result<Jwks, FetchError>> {
        Box::pin(async { self.keys().await.map_err(|error| FetchError(with_causes(error.as_ref()).into())) })
    }
}

fn read_file(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    let file = File::open(path)?;
    ensure!(file.metadata()?.is_file(), "it is not a file");
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn get(client: &Client<HttpsConnector<HttpConnector>, Empty<Bytes>>, url: Uri) -> anyhow::Result<Vec<u8>> {
    let response = client.get(url).await?;
    ensure!(response.status() == StatusCode::OK, "the answer is {}", response.status());
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
    Ok(body.map_err(|error| anyhow!("{error}"))?.to_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_a_file_or_behind_a_url_that_can_be_trusted() {
        let parse = |text: &str| text.parse::<KeySource>().map_err(|error| error.to_string());
        assert_eq!(parse("keys/jwks.json"), Ok(KeySource::File("keys/jwks.json".into())));
        for good in ["https://issuer.test/keys", "http://127.0.0.1:8080/keys", "http://[::1]/keys", "http://localhost/"]
        {
            assert!(matches!(parse(good), Ok(KeySource::Url(_))), "{good}");
        }
        let plain = parse("http://issuer.test/keys").unwrap_err();
        assert!(plain.contains("use https://"), "{plain}");
        for bad in ["", "ftp://issuer.test/keys", "https://"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
