//! The handle on a generator's process.

use super::protocol::{Arrivals, Command, Holdings, Received, Reply, Settled};
use crate::sequence::Sequence;
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// A generator could not do as told.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// Its process could not be started, or spoken to.
    #[error("the load generator's process: {0}")]
    Process(#[from] io::Error),
    /// It said so itself: a client lost its stream, or time ran out.
    #[error("the load generator: {0}")]
    Failed(String),
    /// It said something else than asked, or nothing.
    #[error("the load generator gave no answer to {0}")]
    NoAnswer(String),
}

/// A load generator in a process of its own, which ends with this value.
#[derive(Debug)]
pub struct Generator {
    child: Child,
    commands: ChildStdin,
    replies: Receiver<io::Result<String>>,
}

/// How much longer than its own limit a command may take, and how long one that has none.
const GRACE: Duration = Duration::from_secs(30);

impl Generator {
    /// Starts one: `program` is the benchmarks' own program; `cpu` is the CPU that it keeps to.
    ///
    /// # Errors
    /// Where the process cannot be started.
    pub fn start(program: &Path, cpu: Option<usize>) -> Result<Self, GeneratorError> {
        let mut command = std::process::Command::new(program);
        command.arg("generate").args(cpu.map(|cpu| format!("--cpu={cpu}")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (commands, answers) =
            child.stdin.take().zip(child.stdout.take()).ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(Self { child, commands, replies: read_lines(answers) })
    }

    /// Its process' id, to measure it by.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Adds clients and waits until all are settled: see [`Command::Connect`].
    ///
    /// # Errors
    /// Where a client fails or time runs out; likewise below.
    pub fn connect(
        &mut self,
        address: SocketAddr,
        clients: usize,
        namespaces: usize,
        within: Duration,
    ) -> Result<Settled, GeneratorError> {
        match self.call(&Command::Connect { address, clients, namespaces, within }, within)? {
            Reply::Settled(settled) => Ok(settled),
            other => Err(unexpected(&other)),
        }
    }

    /// Closes every connection: see [`Command::Disconnect`].
    #[allow(clippy::missing_errors_doc)] // as above; likewise below
    pub fn disconnect(&mut self) -> Result<(), GeneratorError> {
        self.done(&Command::Disconnect, Duration::ZERO)
    }

    /// Opens every connection again: see [`Command::Reconnect`].
    #[allow(clippy::missing_errors_doc)]
    pub fn reconnect(&mut self, address: SocketAddr, within: Duration) -> Result<Settled, GeneratorError> {
        match self.call(&Command::Reconnect { address, within }, within)? {
            Reply::Reconnected(settled) => Ok(settled),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits until every client has received an edit: see [`Command::Await`].
    #[allow(clippy::missing_errors_doc)]
    pub fn wait(&mut self, sequence: Sequence, within: Duration) -> Result<(), GeneratorError> {
        self.done(&Command::Await { sequence, within }, within)
    }

    /// When which client received which edit, since it was last asked.
    #[allow(clippy::missing_errors_doc)]
    pub fn arrivals(&mut self) -> Result<Vec<Arrivals>, GeneratorError> {
        match self.call(&Command::Arrivals, Duration::ZERO)? {
            Reply::Arrivals(arrivals) => Ok(arrivals),
            other => Err(unexpected(&other)),
        }
    }

    /// What was received, by type (`cds`, …), since it was last asked.
    #[allow(clippy::missing_errors_doc)]
    pub fn received(&mut self) -> Result<BTreeMap<String, Received>, GeneratorError> {
        match self.call(&Command::Received, Duration::ZERO)? {
            Reply::Received(received) => Ok(received),
            other => Err(unexpected(&other)),
        }
    }

    /// What the clients hold.
    #[allow(clippy::missing_errors_doc)]
    pub fn holdings(&mut self) -> Result<Vec<Holdings>, GeneratorError> {
        match self.call(&Command::Holdings, Duration::ZERO)? {
            Reply::Holdings(holdings) => Ok(holdings),
            other => Err(unexpected(&other)),
        }
    }

    /// Begins to write down what the first client receives: see [`Command::Record`].
    #[allow(clippy::missing_errors_doc)]
    pub fn record(&mut self) -> Result<(), GeneratorError> {
        self.done(&Command::Record, Duration::ZERO)
    }

    /// Saves what was written down: see [`Command::Save`].
    #[allow(clippy::missing_errors_doc)]
    pub fn save(&mut self, path: &Path) -> Result<(), GeneratorError> {
        self.done(&Command::Save { path: path.to_owned() }, Duration::ZERO)
    }

    fn done(&mut self, command: &Command, within: Duration) -> Result<(), GeneratorError> {
        match self.call(command, within)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn call(&mut self, command: &Command, within: Duration) -> Result<Reply, GeneratorError> {
        let mut line = serde_json::to_vec(command).map_err(io::Error::from)?;
        line.push(b'\n');
        self.commands.write_all(&line)?;
        let reply = match self.replies.recv_timeout(within + GRACE) {
            Ok(line) => serde_json::from_str(&line?).map_err(io::Error::from)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(GeneratorError::NoAnswer(format!("{command:?}")));
            }
        };
        match reply {
            Reply::Failed(why) => Err(GeneratorError::Failed(why)),
            reply => Ok(reply),
        }
    }
}

fn unexpected(reply: &Reply) -> GeneratorError {
    GeneratorError::NoAnswer(format!("the command, but {reply:?}"))
}

/// Reads on a thread of its own, so that waiting for a line can end.
fn read_lines(answers: ChildStdout) -> Receiver<io::Result<String>> {
    let (sender, receiver) = channel();
    thread::spawn(move || BufReader::new(answers).lines().try_for_each(|line| sender.send(line)));
    receiver
}

impl Drop for Generator {
    fn drop(&mut self) {
        // Either fails only where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
