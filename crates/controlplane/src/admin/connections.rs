//! Connections of those who read pages: so many at once, and no more than that for whoever says nothing.
//!
//! Where all places are taken, a connection that waits for a request gives its place up to a new one, the one that has waited longest
//! first; and a request that is not read as a whole is none yet. So whoever holds connections open keeps nobody away, such as a kubelet
//! that asks for readiness.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Connections at once: this is for people, scrapers and other replicas.
const PLACES: usize = 64;
/// For a request to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for a place, where everybody is being answered.
const LOOK: Duration = Duration::from_millis(20);

/// What is served.
pub(super) trait Pages: Send + Sync + 'static {
    /// A request, read as far as the pages need it.
    type Question: Send;

    /// Reads a request. Whoever makes that last may lose his place meanwhile.
    fn read(&self, request: Request<Incoming>) -> impl Future<Output = Self::Question> + Send;

    /// Answers it. That keeps the place.
    fn answer(&self, question: Self::Question) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Serves HTTP/1.1 until it is dropped.
pub(super) async fn accept(listener: TcpListener, pages: impl Pages) {
    let pages = Arc::new(pages);
    let (places, waiting) = (Arc::new(Semaphore::new(PLACES)), Waiting::default());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await; // out of files: others must end first
            continue;
        };
        let Some(place) = waiting.place(&places).await else { return };
        let (pages, guest) = (pages.clone(), Guest::new(&waiting));
        tokio::spawn(async move {
            serve(stream, &*pages, &guest).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, pages: &impl Pages, guest: &Guest) {
    let service = service_fn(|request| async move {
        let question = pages.read(request).await;
        guest.leave_queue();
        let response = pages.answer(question).await;
        guest.queue();
        Ok::<_, Infallible>(response)
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // Clients come and go.
    _ = guest.end.run_until_cancelled(server.serve_connection(TokioIo::new(stream), service)).await;
}

/// Who has made no request yet, or has not read his answer yet: by turn, and how to end that.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    next: u64,
    turns: BTreeMap<u64, CancellationToken>,
}

/// One connection.
struct Guest {
    waiting: Waiting,
    turn: AtomicU64,
    end: CancellationToken,
}

impl Guest {
    fn new(waiting: &Waiting) -> Self {
        let guest = Self { waiting: waiting.clone(), turn: AtomicU64::default(), end: CancellationToken::new() };
        guest.queue();
        guest
    }

    /// It waits from now on.
    fn queue(&self) {
        let mut queue = self.waiting.lock();
        queue.next += 1;
        let turn = queue.next;
        queue.turns.insert(turn, self.end.clone());
        self.turn.store(turn, Relaxed);
    }

    /// It is answered.
    fn leave_queue(&self) {
        self.waiting.lock().turns.remove(&self.turn.load(Relaxed));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.leave_queue();
    }
}

impl Waiting {
    /// Waits for a place, and makes one where somebody waits.
    async fn place(&self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Some(place);
        }
        loop {
            if let Some((_, end)) = self.lock().turns.pop_first() {
                end.cancel();
            }
            if let Ok(place) = timeout(LOOK, places.clone().acquire_owned()).await {
                return place.ok();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::{io, net::SocketAddr};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        task::JoinHandle,
    };

    const DEADLINE: Duration = Duration::from_secs(30);

    const OK: &str = "HTTP/1.1 200 OK";

    /// Wants bodies.
    struct Bodies;

    impl Pages for Bodies {
        type Question = bool;

        async fn read(&self, request: Request<Incoming>) -> bool {
            request.into_body().collect().await.is_ok()
        }

        async fn answer(&self, is_read: bool) -> Response<Full<Bytes>> {
            assert!(is_read);
            Response::new(Full::default())
        }
    }

    async fn served() -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener.local_addr().unwrap(), tokio::spawn(accept(listener, Bodies)))
    }

    /// The first line of what comes back.
    async fn ask(stream: &mut TcpStream) -> io::Result<String> {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await?;
        answer(stream).await
    }

    async fn answer(stream: &mut TcpStream) -> io::Result<String> {
        let mut answer = [0; 256];
        let count = timeout(DEADLINE, stream.read(&mut answer)).await??;
        Ok(String::from_utf8_lossy(&answer[..count]).lines().next().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn who_says_nothing_keeps_nobody_away() {
        let (address, server) = served().await;
        let mut silent = Vec::new();
        for _ in 0..PLACES {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert_eq!(ask(&mut silent[1]).await.unwrap(), OK, "now the others have waited longer");
        let mut probe = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(&mut probe).await.unwrap(), OK);
        assert_ne!(ask(&mut silent[0]).await.ok().as_deref(), Some(OK), "it gave its place up");
        assert_eq!(ask(&mut silent[1]).await.unwrap(), OK, "nobody else did");
        assert_eq!(ask(&mut silent[2]).await.unwrap(), OK);
        server.abort();
    }

    #[tokio::test]
    async fn who_does_not_finish_his_request_keeps_nobody_away() {
        let (address, server) = served().await;
        let mut slow = Vec::new();
        for _ in 0..PLACES {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = "POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            assert_eq!(answer(&mut stream).await.unwrap(), "HTTP/1.1 100 Continue", "its body is being read");
            slow.push(stream);
        }
        let mut probe = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(&mut probe).await.unwrap(), OK);
        slow[1].write_all(b"body").await.unwrap();
        assert_eq!(answer(&mut slow[1]).await.unwrap(), OK, "one alone gave its place up");
        server.abort();
    }
}
