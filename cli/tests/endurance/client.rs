//! Requests and DNS queries on plain sockets: nothing between the test and the bytes.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket},
    time::Duration,
};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request on a connection of its own.
pub(crate) struct Request<'a> {
    pub(crate) to: SocketAddrV4,
    /// In the form of a proxy's requests, with scheme and host, or a path alone.
    pub(crate) target: &'a str,
    pub(crate) host: &'a str,
    /// Sent in a header.
    pub(crate) marker: &'a str,
}

impl Request<'_> {
    /// Status and body. An error where there is no whole answer.
    pub(crate) fn answer(&self) -> io::Result<(u16, String)> {
        let stream = TcpStream::connect(self.to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.over(stream)
    }

    /// Likewise, over a connection that there is.
    pub(crate) fn over(&self, mut stream: impl Read + Write) -> io::Result<(u16, String)> {
        self.send(&mut stream)?;
        let mut reader = BufReader::new(stream);
        let status = read_head(&mut reader)?;
        let mut body = String::new();
        reader.read_to_string(&mut body)?;
        Ok((status, body))
    }

    /// Hangs up once the answer has begun.
    pub(crate) fn abandon(&self) -> io::Result<u16> {
        let mut stream = TcpStream::connect(self.to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.send(&mut stream)?;
        read_head(&mut BufReader::new(stream))
    }

    fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        let Self { target, host, marker, .. } = self;
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nx-marker: {marker}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())
    }
}

/// The status of an answer, whose head is read.
fn read_head(reader: &mut impl BufRead) -> io::Result<u16> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("closed without an answer"))?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::Error::other("closed within the head of the answer"));
        }
        if line.trim().is_empty() {
            return Ok(status);
        }
    }
}

/// The first IPv4 address of a name, as a DNS server says over UDP (RFC 1035).
pub(crate) fn resolve(server: SocketAddrV4, name: &str) -> io::Result<Ipv4Addr> {
    const ID: [u8; 2] = [0x70, 0x6d];
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect(server)?;
    // Recursion is desired; one question.
    let mut query = [&ID[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).map_err(io::Error::other)?);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    socket.send(&query)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let (code, answers) = (answer[3] & 15, u16::from_be_bytes([answer[6], answer[7]]));
    if answer[..2] != ID || code != 0 || answers == 0 {
        return Err(io::Error::other(format!("code {code}, {answers} answers")));
    }
    // What comes first ends where the question does: a pointer of two bytes, type, class, TTL, length, address.
    let record = &answer[query.len()..length];
    match record {
        [_, _, 0, 1, 0, 1, _, _, _, _, 0, 4, a, b, c, d, ..] => Ok(Ipv4Addr::new(*a, *b, *c, *d)),
        _ => Err(io::Error::other(format!("not an address: {record:?}"))),
    }
}
