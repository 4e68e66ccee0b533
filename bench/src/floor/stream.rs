//! One connection of a floor.

use crate::generator::{RequestCounter, Transcript};
use bytes::Bytes;
use h2::{RecvStream, SendStream, server};
use http::{Response, header};
use std::{future::poll_fn, sync::Arc};
use tokio::{net::TcpStream, sync::watch};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] h2::Error),
    #[error("the client has gone")]
    Gone,
    #[error("a request is not gRPC")]
    Request,
}

/// As `tombolo_xds` says and keeps: a floor that buffers more or less is another measurement.
const WINDOW: u32 = 64 << 10;
const SEND_BUFFER: usize = 64 << 10;

pub(super) async fn serve(
    socket: TcpStream,
    transcript: Arc<Transcript>,
    burst: watch::Receiver<Bytes>,
) -> Result<(), StreamError> {
    socket.set_nodelay(true)?;
    let mut builder = server::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).max_send_buffer_size(SEND_BUFFER);
    let mut connection = builder.handshake::<_, Bytes>(socket).await?;
    let (request, mut respond) = connection.accept().await.ok_or(StreamError::Gone)??;
    let headers = Response::builder().header(header::CONTENT_TYPE, "application/grpc").body(());
    let replies = respond.send_response(headers.map_err(|_| StreamError::Request)?, false)?;
    // One task for the socket and what is done with it. What is to be written comes first: it then goes out in the same turn.
    tokio::select! {
        biased;
        ended = replay(request.into_body(), replies, &transcript, burst) => ended,
        _ = connection.accept() => Err(StreamError::Gone), // there is one stream only
    }
}

async fn replay(
    mut requests: RecvStream,
    mut replies: SendStream<Bytes>,
    transcript: &Transcript,
    mut burst: watch::Receiver<Bytes>,
) -> Result<(), StreamError> {
    let mut counter = RequestCounter::default();
    let mut messages = transcript.messages.iter().peekable();
    burst.mark_unchanged();
    loop {
        while let Some(message) = messages.next_if(|message| message.after <= counter.count()) {
            write(&mut replies, message.bytes.clone()).await?;
        }
        tokio::select! {
            piece = requests.data() => {
                let piece = piece.ok_or(StreamError::Gone)??;
                requests.flow_control().release_capacity(piece.len())?;
                counter.push(&piece).map_err(|_| StreamError::Request)?;
            }
            changed = burst.changed() => {
                changed.map_err(|_| StreamError::Gone)?;
                let bytes = burst.borrow_and_update().clone();
                write(&mut replies, bytes).await?;
            }
        }
    }
}

/// Writes as the client's windows and the send buffer let it; nothing is copied.
async fn write(replies: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        replies.reserve_capacity(bytes.len());
        let granted = poll_fn(|cx| replies.poll_capacity(cx)).await.ok_or(StreamError::Gone)??;
        replies.send_data(bytes.split_to(granted.min(bytes.len())), false)?;
    }
    Ok(())
}
