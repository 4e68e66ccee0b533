//! One replica asks another what its proxies reject: `POST /debug/rejections`, with the resources that it wants to know of besides.

use super::{Part, Report};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::{collections::BTreeSet, error::Error, net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// Where it is asked.
pub(crate) const PAGE: &str = "/debug/rejections";
/// The longest question that is put and read, and the most resources in it.
pub(crate) const LONGEST_QUESTION: usize = 1 << 20;
pub(crate) const MOST_PARTS: usize = 10_000;
/// The longest answer that is read: a thousand rejected resources are half a megabyte.
const LONGEST_ANSWER: usize = 8 << 20;
/// How long a replica may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A replica does not say what its proxies reject.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It has not answered in time.
    #[error("no answer within {PATIENCE:?}")]
    Late,
    /// It answers something else than the page, such as that it has none.
    #[error("{PAGE} is answered by {0}")]
    Refused(StatusCode),
    /// The connection failed, or the answer is too long.
    #[error("{0}")]
    Lost(#[source] Box<dyn Error + Send + Sync>),
    /// The answer cannot be read.
    #[error("{PAGE} is of another version: {0}")]
    Unreadable(#[source] serde_json::Error),
}

/// A question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuestionError {
    /// It is about too much.
    #[error("these are {0} resources, and {MOST_PARTS} may be asked of at a time")]
    Many(usize),
    /// It is something else than a list of resources.
    #[error("{0}")]
    Unreadable(#[from] serde_json::Error),
}

/// What to ask, to be told too which of these resources proxies have taken: of the first ones, where there are more than one may ask of.
pub(super) fn question(parts: &BTreeSet<Part>) -> Bytes {
    let texts = parts.iter().take(MOST_PARTS).filter_map(|part| serde_json::to_string(part).ok());
    let mut question = String::from("[");
    for text in texts {
        let comma = if question.len() > 1 { "," } else { "" };
        if question.len() + comma.len() + text.len() >= LONGEST_QUESTION {
            break;
        }
        question.extend([comma, &text]);
    }
    question.push(']');
    question.into()
}

/// The resources of a question.
pub(crate) fn asked(question: &[u8]) -> Result<BTreeSet<Part>, QuestionError> {
    let parts: Vec<Part> = serde_json::from_slice(question)?;
    match parts.len() {
        ..=MOST_PARTS => Ok(parts.into_iter().collect()),
        many => Err(QuestionError::Many(many)),
    }
}

/// Asks the replica whose pages are here.
pub(super) async fn ask(address: SocketAddr, question: Bytes) -> Result<Report, AskError> {
    let (status, body) = match timeout(PATIENCE, exchange(address, question)).await {
        Ok(answer) => answer.map_err(AskError::Lost)?,
        Err(_) => return Err(AskError::Late),
    };
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map_err(AskError::Unreadable),
        other => Err(AskError::Refused(other)),
    }
}

async fn exchange(address: SocketAddr, question: Bytes) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    let request = Request::post(PAGE).header(header::HOST, address.to_string()).header(header::CONNECTION, "close");
    let answer = async {
        let response = sender.send_request(request.body(Full::new(question))?).await?;
        let status = response.status();
        Ok((status, Limited::new(response.into_body(), LONGEST_ANSWER).collect().await?.to_bytes()))
    };
    let connection = async {
        connection.await?;
        std::future::pending().await // the answer is complete, and about to be seen
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        lost = connection => lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo_proto::{ResourceType, Scope};

    fn parts(count: usize, length: usize) -> BTreeSet<Part> {
        let name = |number| format!("{number:0length$}").into();
        let part =
            |number| Part { scope: Scope::gateway("shop", "edge"), kind: ResourceType::Secret, name: name(number) };
        (0..count).map(part).collect()
    }

    #[test]
    fn whatever_is_asked_can_be_answered() {
        for (count, length, fit) in [(0, 0, 0), (7, 9, 7), (MOST_PARTS + 1, 5, MOST_PARTS), (3000, 500, 1896)] {
            let (all, question) = (parts(count, length), question(&parts(count, length)));
            assert!(question.len() <= LONGEST_QUESTION);
            let asked = asked(&question).unwrap();
            assert_eq!(asked.len(), fit);
            assert!(asked.iter().eq(all.iter().take(fit)));
        }
    }

    #[test]
    fn of_too_much_nobody_may_ask() {
        let many = serde_json::to_vec(&parts(MOST_PARTS + 1, 5)).unwrap();
        assert_eq!(
            asked(&many).unwrap_err().to_string(),
            "these are 10001 resources, and 10000 may be asked of at a time"
        );
        assert!(asked(b"{}").is_err());
    }
}
