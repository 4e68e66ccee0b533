//! The application behind the workload's Envoy. It knows its callers by what Envoy tells of their certificates.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Of this path only the beginning is answered: whoever asked hangs up, and the connections on the way are of no more use.
pub(crate) const HELD: &str = "/held";

/// A server on 127.0.0.1. Each answer is the `x-forwarded-client-cert` of its request.
pub(crate) struct App {
    pub(crate) port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    certificates: Mutex<BTreeSet<String>>,
}

impl App {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::<Seen>::default());
        let app = Self { port, seen: seen.clone() };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                thread::spawn(move || seen.answer(stream));
            }
        });
        app
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// By how many certificates it was called so far.
    pub(crate) fn certificates(&self) -> usize {
        self.seen.certificates.lock().unwrap().len()
    }
}

impl Seen {
    fn answer(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        while let Some((path, caller)) = read_request(&mut reader)? {
            self.requests.fetch_add(1, Ordering::Relaxed);
            if let Some(hash) = caller.split(';').find_map(|part| part.strip_prefix("Hash=")) {
                self.certificates.lock().unwrap().insert(hash.to_owned());
            }
            if path == HELD {
                writer.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n.\r\n")?;
                return reader.read_to_end(&mut Vec::new()).map(drop);
            }
            write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{caller}", caller.len())?;
        }
        Ok(())
    }
}

/// Its path, and who it says that its caller is; `None` at the end of the stream.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<(String, String)>> {
    let (mut path, mut caller) = (None, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim();
        match (line.split_once(": "), &path) {
            _ if line.is_empty() => return Ok(path.map(|path| (path, caller))),
            (_, None) => path = Some(line.split(' ').nth(1).unwrap_or_default().to_owned()),
            (Some((name, value)), _) if name.eq_ignore_ascii_case("x-forwarded-client-cert") => {
                value.clone_into(&mut caller);
            }
            _ => {}
        }
    }
}
