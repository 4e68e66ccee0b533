//! HTTP/1.1 as far as the tests need it, on plain sockets: nothing between the test and the bytes.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// A server that answers every request with its name, for as long as the test runs.
pub struct Backend {
    pub port: u16,
}

impl Backend {
    pub fn start(name: &str) -> Self {
        let name: Arc<str> = name.into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let name = name.clone();
                thread::spawn(move || answer(stream, &name));
            }
        });
        Self { port }
    }
}

fn answer(stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        if read_head(&mut reader)?.is_empty() {
            return Ok(());
        }
        let length = name.len();
        write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{name}")?;
    }
}

/// The lines up to the empty one; none at the end of the stream.
fn read_head(reader: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(Vec::new());
        }
        if line.trim().is_empty() {
            return Ok(lines);
        }
        lines.push(line.trim().to_owned());
    }
}

/// One request on a connection of its own: status, head, body. An error where there is no whole answer.
pub fn get(port: u16, path: &str) -> io::Result<(u16, String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: demo.example.com\r\nconnection: close\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader)?;
    let status = head.first().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("closed without an answer"))?;
    let mut body = String::new();
    reader.read_to_string(&mut body)?;
    Ok((status, head.join("\n").to_lowercase(), body))
}

/// Like [`get`], for pages that may not be there yet.
pub fn get_from(port: u16, path: &str) -> Option<(u16, String, String)> {
    get(port, path).ok()
}
