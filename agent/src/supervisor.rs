//! What systemd is told: a datagram to the socket that it names (`sd_notify(3)`). Without one, nobody is told.

use std::{
    env, io,
    os::unix::net::{SocketAddr, UnixDatagram},
};

/// Whom to tell.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Supervisor {
    /// Who is named in the environment, if anybody.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Self::default() };
        let socket = UnixDatagram::unbound().and_then(|socket| Ok((socket, address(name.as_encoded_bytes())?)));
        if let Err(error) = &socket {
            tracing::warn!(%error, "the supervisor cannot be told anything: NOTIFY_SOCKET is of no use");
        }
        Self { socket: socket.ok() }
    }

    /// The agent has started.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The agent ends.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// How it is, in a line for people.
    pub(crate) fn status(&self, line: &str) {
        self.tell(&format!("STATUS={}", line.replace('\n', "; ")));
    }

    fn tell(&self, what: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(what.as_bytes(), address) {
            tracing::debug!(%error, "the supervisor does not listen");
        }
    }
}

/// A path, or with `@` a name that is not in the file system (`unix(7)`).
fn address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::{linux::net::SocketAddrExt, unix::ffi::OsStrExt};
    match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;

    #[test]
    fn both_kinds_of_names_are_reached() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let hidden = format!("@tombolo-{}", directory.path().display());
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap()),
            (UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&hidden[1..]).unwrap()).unwrap(), &hidden),
        ];
        for (socket, name) in sockets {
            let us = UnixDatagram::unbound().unwrap();
            let supervisor = Supervisor { socket: Some((us, address(name.as_bytes()).unwrap())) };
            supervisor.status("not ready: a\nb");
            let mut told = [0; 100];
            let count = socket.recv(&mut told).unwrap();
            assert_eq!(&told[..count], b"STATUS=not ready: a; b");
        }
    }
}
