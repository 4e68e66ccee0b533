//! One packet, one answer. What is in the table is answered here; what is not becomes a task.

use super::super::{
    Dns, Step,
    message::{PAYLOAD, Transport},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::UdpSocket;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(super) async fn serve(dns: Arc<Dns>, socket: Arc<UdpSocket>, stop: CancellationToken, tasks: TaskTracker) {
    // One byte more than is offered: what fills it was cut, and does not parse.
    let mut packet = vec![0; usize::from(PAYLOAD) + 1];
    let mut out = Vec::with_capacity(PAYLOAD.into());
    loop {
        // An error is one client's absence, reported by the system at the next call: it is no reason to end.
        let Ok((len, client)) = socket.recv_from(&mut packet).await else {
            tokio::task::yield_now().await;
            continue;
        };
        match dns.step(&packet[..len], Transport::Udp, &mut out) {
            Step::Reply => send(&socket, &out, client).await,
            Step::Ignore => {}
            Step::Forward(query, permit) => {
                let (dns, socket, stop) = (dns.clone(), socket.clone(), stop.clone());
                tasks.spawn(stop.run_until_cancelled_owned(async move {
                    if let Some(reply) = dns.forward(&query).await {
                        send(&socket, &reply, client).await;
                    }
                    drop(permit);
                }));
            }
        }
    }
}

/// A client that cannot be reached concerns nobody else.
async fn send(socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(reply, client).await {
        tracing::debug!(%client, "an answer could not be sent: {error}");
    }
}
