//! A process that may outlive us, or may have outlived the one before us.

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::{fmt, fs, io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};
use tokio::process::{Child, Command};

/// How often to look whether a process that is not our child is still there.
const POLL: Duration = Duration::from_millis(100);

/// Which process: pids are given again, so the moment of its start is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Process id.
    pub pid: i32,
    /// When it started, in the kernel's ticks since boot.
    pub started: u64,
}

/// A process that runs, our child or not.
#[derive(Debug)]
pub(crate) struct Process {
    identity: Identity,
    /// `None` where an agent before this one started it.
    child: Option<Child>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With this exit code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// It was not our child: nobody knows.
    Unknown,
}

impl Process {
    /// Starts a program in a process group of its own: the terminal's Ctrl-C is not for it.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(false).spawn()?;
        let gone = || io::Error::other("the system does not tell of it");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(gone)?;
        let (_, started) = stat(pid).ok_or_else(gone)?;
        let identity = Identity { pid, started };
        Ok(Self { identity, child: Some(child) })
    }

    /// A process that an agent before this one started, if it is still the same one.
    pub(crate) fn adopt(identity: Identity) -> Option<Self> {
        identity.is_alive().then_some(Self { identity, child: None })
    }

    /// Which process.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Waits for its end. May be dropped and called again.
    pub(crate) async fn ended(&mut self) -> Ending {
        if let Some(child) = &mut self.child {
            return child.wait().await.map_or(Ending::Unknown, Ending::from);
        }
        while self.identity.is_alive() {
            tokio::time::sleep(POLL).await;
        }
        Ending::Unknown
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // Never a process that has the pid by now.
        if let Some(pid) = Pid::from_raw(self.identity.pid).filter(|_| self.identity.is_alive()) {
            _ = kill_process(pid, signal); // it may have ended in between
        }
    }
}

impl Identity {
    /// This process; `None` where the system does not tell.
    pub fn own() -> Option<Self> {
        let pid = i32::try_from(std::process::id()).ok()?;
        stat(pid).map(|(_, started)| Self { pid, started })
    }

    fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(state, started)| state != 'Z' && started == self.started)
    }
}

/// A process's state, `Z` where it has ended and its parent has not yet taken note, and when it started.
fn stat(pid: i32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; after it come the state (the 3rd field) and the start time (the 22nd).
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("an exit code that is not known, as an agent before this one started it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_adopted_while_it_is_the_same_one() {
        let mut process = Process::spawn(Command::new("sleep").arg("60")).unwrap();
        let mut adopted = Process::adopt(process.identity()).unwrap();
        let other = Identity { started: process.identity().started + 1, ..process.identity() };
        assert!(Process::adopt(other).is_none());
        process.terminate();
        assert_eq!(process.ended().await, Ending::Signal(15));
        assert_eq!(adopted.ended().await, Ending::Unknown);
        assert!(Process::adopt(process.identity()).is_none());
    }

    #[tokio::test]
    async fn an_exit_code_is_told() {
        let mut process = Process::spawn(Command::new("sh").args(["-c", "exit 7"])).unwrap();
        assert_eq!(process.ended().await, Ending::Code(7));
    }
}
