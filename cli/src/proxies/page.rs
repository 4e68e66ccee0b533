//! One page over one connection, whatever that runs over.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// The longest page that is read: all that a proxy of a mesh of some thousand services holds is about 50 MB.
const LONGEST: usize = 1 << 30;
/// The longest error that is repeated.
const LONGEST_ERROR: usize = 300;

/// A path with what is asked for behind it.
pub(super) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

/// Gets a page.
pub(super) async fn get(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    path: &str,
) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(header::HOST, "localhost").header(header::CONNECTION, "close");
    let exchange = async {
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), LONGEST).collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
        anyhow::Ok((status, body))
    };
    let connection = async {
        connection.await.context("the connection was lost")?;
        std::future::pending::<anyhow::Result<_>>().await // the answer is complete, and about to be seen
    };
    let (status, body) = tokio::select! {
        biased;
        answer = exchange => answer?,
        lost = connection => lost?,
    };
    if status != StatusCode::OK {
        let said: String = String::from_utf8_lossy(&body).trim().chars().take(LONGEST_ERROR).collect();
        bail!("{path} is answered by {status}: {said}");
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn answered(answer: &'static str) -> anyhow::Result<Bytes> {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let server = async move {
            let mut request = vec![0; 1024];
            _ = far.read(&mut request).await;
            _ = far.write_all(answer.as_bytes()).await;
        };
        tokio::join!(get(near, "/debug/proxies"), server).0
    }

    #[tokio::test]
    async fn a_page_is_its_body_and_anything_else_an_error_with_its_words() {
        let page = answered("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await.unwrap();
        assert_eq!(&*page, b"[]");
        let error =
            answered("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nnope\n").await.unwrap_err().to_string();
        assert_eq!(error, "/debug/proxies is answered by 404 Not Found: nope");
        assert!(answered("").await.is_err());
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(query("/x", &[("name", "outbound|80||a b")]), "/x?name=outbound%7C80%7C%7Ca+b");
    }
}
