//! A program: exit code 0 is success.

use super::{Exec, judge::Outcome};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::timeout,
};

/// How much of what it prints is kept, in bytes: enough to say why it failed.
const KEPT: usize = 1024;
/// How long to wait for the rest of what it printed, where a program that it left behind holds its output open.
const REST: Duration = Duration::from_millis(100);

/// A process group that is killed when nobody waits for it any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            _ = kill_process_group(leader, Signal::KILL); // it may have ended in between
        }
    }
}

pub(crate) async fn probe(program: &Exec) -> Outcome {
    let [name, arguments @ ..] = &program.command[..] else { return Err("there is no program".to_owned()) };
    let mut command = Command::new(name);
    command.args(arguments).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
    let mut group = Group(child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)));
    let (mut said, mut cried) = (Vec::new(), Vec::new());
    let (mut out, mut error) = (child.stdout.take(), child.stderr.take());
    let output = async {
        tokio::join!(read(out.as_mut(), &mut said), read(error.as_mut(), &mut cried));
    };
    let mut output = Box::pin(output);
    let status = tokio::select! {
        status = child.wait() => {
            _ = timeout(REST, &mut output).await;
            status
        }
        () = &mut output => child.wait().await,
    };
    group.0 = None;
    drop(output);
    let status = status.map_err(|error| format!("{name} got lost: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(if cried.is_empty() { &said } else { &cried });
    let line = text.trim().lines().next_back().map(|line| format!(": {line}")).unwrap_or_default();
    Err(format!("{name} ended with {status}{line}"))
}

/// Keeps the first of what comes, and reads on: a program whose output is not read stands still.
async fn read(from: Option<&mut (impl AsyncRead + Unpin)>, kept: &mut Vec<u8>) {
    let Some(from) = from else { return };
    let mut buffer = [0; KEPT];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
}
