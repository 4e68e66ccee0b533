//! Which process.

use serde::{Deserialize, Serialize};
use std::fs;

/// Which process: pids are given again, so the moment of its start is part of it. See proc_pid_stat(5).
///
/// It holds for one start of the machine: whoever keeps it for longer writes down which one that was as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Process id.
    pub pid: i32,
    /// When it started, in the kernel's ticks since boot.
    pub started: u64,
}

impl Identity {
    /// This process; `None` where the system does not tell.
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// The process that has a pid now, running or not yet reaped; `None` where there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        stat(pid).map(|(_, started)| Self { pid, started })
    }

    /// Whether it still runs. One that has ended, and that its parent has not yet taken note of, does not.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(state, started)| state != 'Z' && started == self.started)
    }
}

/// A process's state, `Z` where it has ended and its parent has not yet taken note, and when it started.
fn stat(pid: i32) -> Option<(char, u64)> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(stat: &str) -> Option<(char, u64)> {
    // The name, in brackets, may hold anything; after it come the state (the 3rd field) and the start time (the 22nd).
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_another_of_its_pid_is_not() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        assert!(!Identity { started: own.started + 1, ..own }.is_alive(), "the pid was given again");
        assert!(!Identity { pid: -1, ..own }.is_alive());
    }

    #[test]
    fn a_name_may_hold_anything() {
        let rest = "1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(parse(&format!("7 (sh) S {rest}")), Some(('S', 4711)));
        assert_eq!(parse(&format!("7 (a) Z 1 (b c)) Z {rest}")), Some(('Z', 4711)));
        for broken in ["", "7 (sh", "7 (sh)", "7 (sh) S 1 7", &format!("7 (sh) S {}", rest.replace("4711", "x"))] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    /// Records are read by later versions than wrote them.
    #[test]
    fn it_is_written_as_two_numbers() {
        let identity = Identity { pid: 7, started: 4711 };
        assert_eq!(serde_json::to_string(&identity).unwrap(), r#"{"pid":7,"started":4711}"#);
    }
}
