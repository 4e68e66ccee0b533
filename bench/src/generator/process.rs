//! The generator's process: commands from standard input, answers on standard output.

use super::{
    client::{self, Shared},
    protocol::{Command, Reply, Settled},
    world::World,
};
use crate::{clock::Moment, machine};
use std::{
    io::{self, Write},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    task::{JoinSet, LocalSet},
};

/// Carries out commands until standard input ends. Everything happens on one thread: kept on a CPU, it leaves the others alone.
///
/// # Errors
/// Where standard input or output fail, or the system refuses what a thousand connections need.
pub fn run() -> io::Result<()> {
    machine::raise_descriptor_limit().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve())
}

async fn serve() -> io::Result<()> {
    let mut process = Process::default();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str(&line) {
            Ok(command) => process.carry_out(command).await,
            Err(error) => Reply::Failed(format!("not a command: {error}")),
        };
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &reply)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

#[derive(Default)]
struct Process {
    shared: Rc<Shared>,
    connections: JoinSet<()>,
}

impl Process {
    async fn carry_out(&mut self, command: Command) -> Reply {
        self.try_carry_out(command).await.unwrap_or_else(Reply::Failed)
    }

    async fn try_carry_out(&mut self, command: Command) -> Result<Reply, String> {
        match command {
            Command::Connect { address, clients, namespaces, within } => {
                let added = self.shared.world.borrow_mut().add(clients, namespaces);
                let first_connect = self.connect(added, address);
                let last_request = self.wait(within, World::settled, World::behind).await?;
                Ok(Reply::Settled(Settled { clients: self.clients(), first_connect, last_request }))
            }
            Command::Reconnect { address, within } => {
                self.disconnect().await;
                let first_connect = self.connect(0..self.clients(), address);
                let last_request = self.wait(within, World::opened, World::behind).await?;
                Ok(Reply::Reconnected(Settled { clients: self.clients(), first_connect, last_request }))
            }
            Command::Disconnect => {
                self.disconnect().await;
                Ok(Reply::Done)
            }
            Command::Await { sequence, within } => {
                let arrived = |world: &World| world.arrived(sequence).then_some(());
                self.wait(within, arrived, |world| world.reached(sequence)).await.map(|()| Reply::Done)
            }
            Command::Save { path } => {
                let transcript = self.shared.world.borrow_mut().take_transcript();
                transcript.save(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(Reply::Done)
            }
            Command::Record | Command::Arrivals | Command::Received | Command::Holdings => Ok(self.ask(&command)),
        }
    }

    /// What can be done at once.
    fn ask(&self, command: &Command) -> Reply {
        let mut world = self.shared.world.borrow_mut();
        match command {
            Command::Arrivals => Reply::Arrivals(world.take_arrivals()),
            Command::Received => Reply::Received(world.take_received()),
            Command::Holdings => Reply::Holdings(world.holdings()),
            _ => {
                world.record();
                Reply::Done
            }
        }
    }

    fn clients(&self) -> usize {
        self.shared.world.borrow().len()
    }

    fn connect(&mut self, clients: std::ops::Range<usize>, address: SocketAddr) -> Moment {
        let start = Moment::now();
        for nth in clients {
            self.connections.spawn_local(client::run(self.shared.clone(), nth, address));
        }
        start
    }

    /// Drops every connection as a process that dies does: without a word.
    async fn disconnect(&mut self) {
        self.connections.shutdown().await;
        self.shared.world.borrow_mut().close();
    }

    /// Waits until the clients have got where they should, or one of them cannot. When time runs out, it says how far they are.
    async fn wait<T>(
        &self,
        within: Duration,
        reached: impl Fn(&World) -> Option<T>,
        behind: impl Fn(&World) -> String,
    ) -> Result<T, String> {
        let waiting = async {
            loop {
                {
                    let world = self.shared.world.borrow();
                    if let Some(failure) = world.failure() {
                        return Err(failure.to_owned());
                    }
                    if let Some(found) = reached(&world) {
                        return Ok(found);
                    }
                }
                self.shared.news.notified().await;
            }
        };
        let late = |_| Err(format!("after {within:?}, {}", behind(&self.shared.world.borrow())));
        tokio::time::timeout(within, waiting).await.unwrap_or_else(late)
    }
}
