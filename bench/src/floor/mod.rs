//! Floors: what the same bytes cost a server that does nothing but write them.
//!
//! A floor is a plain HTTP/2 server. To each stream it sends the messages of a [`Transcript`], each as soon as the client has made the
//! requests that it was the answer to, and then whatever burst of bytes it is told to. The clients, their CPU and the HTTP/2
//! settings are those of the measurement that it is the floor of.

mod stream;

use crate::{
    clock::Moment,
    generator::{Message, Transcript},
};
use bytes::Bytes;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinSet,
};

/// A floor's server, on a thread of its own, which ends with this value.
#[derive(Debug)]
pub struct Floor {
    address: SocketAddr,
    bursts: watch::Sender<Bytes>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Floor {
    /// Starts one on a free port of the loopback interface. Its thread keeps to the CPUs of the calling one.
    ///
    /// # Errors
    /// Where the system refuses a socket or a thread.
    pub fn start(transcript: Transcript) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async { tombolo_xds::listen((Ipv4Addr::LOCALHOST, 0).into()) })?;
        let address = listener.local_addr()?;
        let (bursts, burst) = watch::channel(Bytes::new());
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, Arc::new(transcript), burst) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("floor".into()).spawn(serve)?;
        Ok(Self { address, bursts, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a message to every stream that has had its transcript. Returns when the writing began. A burst that follows before
    /// the last one was written replaces it.
    pub fn burst(&self, message: &Message) -> Moment {
        let start = Moment::now();
        self.bursts.send_replace(message.bytes.clone());
        start
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.stop.take(); // dropped, it is told to end
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there has been printed
        }
    }
}

async fn accept(listener: TcpListener, transcript: Arc<Transcript>, burst: watch::Receiver<Bytes>) {
    let mut connections = JoinSet::new();
    // A connection that fails is seen by its client, which the measurement then fails by.
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(stream::serve(socket, transcript.clone(), burst.clone()));
        while connections.try_join_next().is_some() {}
    }
}
