//! The name servers of now. DHCP rewrites resolv.conf when a lease is renewed or a network changed; an agent runs on.
//!
//! The file is read again when a question goes out, at most once a second: nothing wakes up an idle agent. It is read, and not just
//! looked at: it is short, and times and sizes can stay the same while it is being written.

use super::{forward::Upstreams, resolv::Resolv};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128;

/// How old what was read of the file may be when a question goes out.
const FRESH: Duration = Duration::from_secs(1);

/// The servers to ask, by what the file says.
#[derive(Debug)]
pub(crate) struct Servers {
    own: SocketAddr,
    patience: Duration,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    resolv: Resolv,
    upstreams: Arc<Upstreams>,
    read: Option<Instant>,
    /// A hash of the file, when it was last read; `None` where it could not be.
    content: Option<u128>,
}

impl Servers {
    /// `own` is where the agent answers: that address is left out.
    pub(crate) fn new(resolv: Resolv, own: SocketAddr, patience: Duration) -> Self {
        let resolv = resolv.without(own);
        let upstreams = Arc::new(Upstreams::new(&resolv, patience));
        Self { own, patience, now: Mutex::new(Now { resolv, upstreams, read: None, content: None }) }
    }

    /// The servers that were asked last, or are asked first.
    pub(crate) fn current(&self) -> Arc<Upstreams> {
        self.now().upstreams.clone()
    }

    /// The servers to ask at this time, and what the file says where that was just found to be something else.
    pub(crate) fn refreshed(&self, time: Instant) -> (Arc<Upstreams>, Option<Resolv>) {
        let mut now = self.now();
        let changed = now.changed(time, self.own);
        if let Some(resolv) = &changed {
            tracing::info!(servers = ?resolv.servers, "resolv.conf has changed, and other name servers are asked");
            now.upstreams = Arc::new(Upstreams::new(resolv, self.patience));
            now.resolv = resolv.clone();
        }
        (now.upstreams.clone(), changed)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    /// A file that cannot be read, or that names no server but the agent, changes nothing: it is being written, or there is no network
    /// for now, or somebody had the agent take over. What was there before goes on.
    fn changed(&mut self, time: Instant, own: SocketAddr) -> Option<Resolv> {
        let path = self.resolv.file.as_deref()?;
        if self.read.is_some_and(|read| time < read + FRESH) {
            return None;
        }
        self.read = Some(time);
        let text = match Resolv::text(path) {
            Ok(text) => text,
            Err(error) => {
                if self.content.take().is_some() {
                    tracing::warn!("the name servers stay what they were: {error}");
                }
                return None;
            }
        };
        let content = xxh3_128(&text);
        if self.content.replace(content) == Some(content) {
            return None;
        }
        let next = Resolv { file: self.resolv.file.clone(), ..Resolv::named(&text).without(own) };
        (!next.servers.is_empty() && next != self.resolv).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::PathBuf};
    use tempfile::TempDir;

    struct Machine {
        servers: Servers,
        file: PathBuf,
        time: Instant,
        _directory: TempDir,
    }

    impl Machine {
        fn new(text: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("resolv.conf");
            fs::write(&file, text).unwrap();
            let own = ([127, 0, 0, 1], 53).into();
            let servers = Servers::new(Resolv::read(&file).unwrap(), own, Duration::from_millis(300));
            Self { servers, file, time: Instant::now(), _directory: directory }
        }

        /// The servers that are asked after so long, and whether they were just found.
        fn after(&mut self, wait: Duration) -> (Vec<String>, bool) {
            self.time += wait;
            let (upstreams, changed) = self.servers.refreshed(self.time);
            (upstreams.servers().map(|(address, _)| address.ip().to_string()).collect(), changed.is_some())
        }

        fn says(&mut self, text: &str) -> (Vec<String>, bool) {
            fs::write(&self.file, text).unwrap();
            self.after(FRESH)
        }
    }

    fn only(server: &str, changed: bool) -> (Vec<String>, bool) {
        (vec![server.to_owned()], changed)
    }

    #[test]
    fn the_file_is_read_again_at_most_once_a_second() {
        let mut machine = Machine::new("nameserver 192.0.2.1\n");
        assert_eq!(machine.after(Duration::ZERO), only("192.0.2.1", false));
        fs::write(&machine.file, "nameserver 192.0.2.2\n").unwrap();
        assert_eq!(machine.after(FRESH - Duration::from_nanos(1)), only("192.0.2.1", false));
        assert_eq!(machine.after(Duration::from_nanos(1)), only("192.0.2.2", true));
        assert_eq!(machine.after(FRESH), only("192.0.2.2", false));
    }

    #[test]
    fn what_says_the_same_in_other_words_changes_nothing() {
        let mut machine = Machine::new("nameserver 192.0.2.1\n");
        let before = machine.servers.current();
        assert_eq!(machine.says("# renewed\nnameserver 192.0.2.1\n"), only("192.0.2.1", false));
        assert!(Arc::ptr_eq(&before, &machine.servers.current()), "how they did is not forgotten");
        assert_eq!(machine.says("nameserver 192.0.2.1\noptions timeout:1\n"), only("192.0.2.1", true));
    }

    #[test]
    fn while_the_file_names_no_other_server_those_of_before_are_asked() {
        let mut machine = Machine::new("nameserver 192.0.2.1\n");
        assert_eq!(machine.says(""), only("192.0.2.1", false), "being written");
        assert_eq!(machine.says("search example.com\n"), only("192.0.2.1", false), "without a network");
        assert_eq!(machine.says("nameserver 127.0.0.1\n"), only("192.0.2.1", false), "taken over");
        fs::remove_file(&machine.file).unwrap();
        assert_eq!(machine.after(FRESH), only("192.0.2.1", false));
        assert_eq!(machine.says("nameserver 127.0.0.1\nnameserver 192.0.2.2\n"), only("192.0.2.2", true));
    }

    #[test]
    fn what_came_from_no_file_is_not_looked_for() {
        let own = ([127, 0, 0, 1], 15053).into();
        let servers = Servers::new(Resolv::parse(b"nameserver 192.0.2.1\n"), own, Duration::ZERO);
        assert_eq!(servers.refreshed(Instant::now()).1, None);
    }
}
