//! An application that listens at 127.0.0.1, and answers HTTP/1.1 with what it was asked.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A running application; its threads end with the test.
#[derive(Debug)]
pub(crate) struct App {
    /// Where it listens.
    pub(crate) port: u16,
    /// What each connection said first.
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl App {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let hears = heard.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hears = hears.clone();
                thread::spawn(move || serve(stream, &hears));
            }
        });
        Self { port, heard }
    }

    /// `Some` once a connection has begun with these bytes.
    pub(crate) fn heard(&self, first: &[u8]) -> Option<()> {
        self.heard.lock().unwrap().iter().any(|said| said.starts_with(first)).then_some(())
    }

    /// How many connections have said something.
    pub(crate) fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

fn serve(mut stream: TcpStream, hears: &Mutex<Vec<Vec<u8>>>) {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        said.extend_from_slice(&buffer[..count]);
        let http = said.starts_with(b"GET ");
        if http && !said.ends_with(b"\r\n\r\n") {
            continue;
        }
        let body = String::from_utf8_lossy(&said).into_owned();
        hears.lock().unwrap().push(said);
        if http {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()); // whoever is gone needs no answer
        }
        return;
    }
}
