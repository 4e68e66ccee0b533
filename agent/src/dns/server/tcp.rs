//! Any number of questions on a connection, one after the other, each with its length in front (RFC 7766).

use super::super::{
    Dns, Step,
    message::{PAYLOAD, Transport},
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(super) async fn serve(dns: Arc<Dns>, listener: TcpListener, stop: CancellationToken, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(dns.config.limits.connections));
    while let Ok(place) = places.clone().acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                wait_out(&error).await;
                continue;
            }
        };
        let (dns, stop) = (dns.clone(), stop.clone());
        tasks.spawn(stop.run_until_cancelled_owned(async move {
            if let Err(error) = converse(&dns, stream).await {
                tracing::debug!("a connection ended: {error}");
            }
            drop(place);
        }));
    }
}

/// Ends when the client does, when it is idle for too long, or when it sends what cannot be a question.
async fn converse(dns: &Dns, mut stream: TcpStream) -> io::Result<()> {
    let idle = dns.config.timing.idle;
    // Answers are written whole, and someone waits for each.
    stream.set_nodelay(true)?;
    let (mut packet, mut out) = (Vec::new(), Vec::new());
    while timeout(idle, receive(&mut stream, &mut packet)).await?? {
        match dns.step(&packet, Transport::Tcp, &mut out) {
            Step::Reply => timeout(idle, send(&mut stream, &out)).await??,
            Step::Ignore => return Ok(()),
            Step::Forward(query, permit) => {
                let reply = dns.forward(&query).await;
                drop(permit);
                match reply {
                    Some(reply) => timeout(idle, send(&mut stream, &reply)).await??,
                    None => return Ok(()),
                }
            }
        }
    }
    Ok(())
}

/// False where the client has nothing more to ask.
async fn receive(stream: &mut TcpStream, packet: &mut Vec<u8>) -> io::Result<bool> {
    let len = match stream.read_u16().await {
        Ok(len) => len,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    };
    if len > PAYLOAD {
        return Err(io::Error::other(format!("a question of {len} bytes; the longest that is read has {PAYLOAD}")));
    }
    packet.resize(len.into(), 0);
    stream.read_exact(packet).await?;
    Ok(true)
}

/// In one write: clients are known that expect length and message in one segment.
async fn send(stream: &mut TcpStream, reply: &[u8]) -> io::Result<()> {
    let len = u16::try_from(reply.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), reply].concat()).await
}

/// A connection that died while it waited concerns nobody; a shortage, of descriptors say, is given time.
async fn wait_out(error: &io::Error) {
    tracing::warn!("a connection could not be accepted: {error}");
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
