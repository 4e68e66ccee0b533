//! A process that may outlive us, or may have outlived the one before us.

use crate::Identity;
use rustix::process::{Pid, Signal, kill_process};
use std::{fmt, io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};
use tokio::process::{Child, Command};

/// How often to look whether a process that is not our child is still there.
const POLL: Duration = Duration::from_millis(100);

/// A process that runs, our child or not. It runs on when this is dropped.
#[derive(Debug)]
pub struct Process {
    identity: Identity,
    /// `None` where someone before us started it.
    child: Option<Child>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// It was not our child: nobody knows.
    Unknown,
}

impl Process {
    /// Starts a program in a process group of its own: the terminal's Ctrl-C is not for it.
    ///
    /// # Errors
    /// The program cannot be started, or `/proc` does not tell of it; then it does not run.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).kill_on_drop(false).spawn()?;
        match child.id().and_then(Identity::of) {
            Some(identity) => Ok(Self { identity, child: Some(child) }),
            None => {
                // Nobody could find it again.
                _ = child.start_kill();
                Err(io::Error::other("/proc does not tell of it: is it mounted?"))
            }
        }
    }

    /// A process that someone before us started, if it is still the same one.
    pub fn adopt(identity: Identity) -> Option<Self> {
        identity.is_alive().then_some(Self { identity, child: None })
    }

    /// Which process.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn ended(&mut self) -> Ending {
        if let Some(child) = &mut self.child {
            return child.wait().await.map_or(Ending::Unknown, Ending::from);
        }
        while self.identity.is_alive() {
            tokio::time::sleep(POLL).await;
        }
        Ending::Unknown
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // Never a process that has the pid by now.
        if let Some(pid) = Pid::from_raw(self.identity.pid).filter(|_| self.identity.is_alive()) {
            _ = kill_process(pid, signal); // it may have ended in between
        }
    }
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
            Self::Unknown => f.write_str("an exit code that is not known, as someone before us started it"),
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
