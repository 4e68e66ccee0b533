//! Memory: of a process as the kernel counts it, of this process as its allocator does.

use super::{MachineError, read};

/// A process' resident memory, in bytes (`/proc/PID/smaps_rollup`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Resident set size: pages shared with others counted in full.
    pub rss: u64,
    /// Proportional set size: pages shared with others counted in part.
    pub pss: u64,
}

/// A process' resident memory now.
pub fn resident(pid: u32) -> Result<Resident, MachineError> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = read(&file)?;
    let field =
        |name: &'static str| field(&text, name).ok_or_else(|| MachineError::Format { file: file.clone(), field: name });
    Ok(Resident { rss: field("Rss")?, pss: field("Pss")? })
}

/// A process' resident memory that is no file's, in bytes: its own data, without the program.
pub fn anonymous(pid: u32) -> Result<u64, MachineError> {
    let file = format!("/proc/{pid}/smaps_rollup");
    field(&read(&file)?, "Anonymous").ok_or(MachineError::Format { file, field: "Anonymous" })
}

/// The most memory of a process that was resident at once since it started, in bytes (`VmHWM` in `/proc/PID/status`).
pub fn peak(pid: u32) -> Result<u64, MachineError> {
    let file = format!("/proc/{pid}/status");
    field(&read(&file)?, "VmHWM").ok_or(MachineError::Format { file, field: "VmHWM" })
}

/// `Rss:    1234 kB`
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Bytes that this process has allocated and not freed, as jemalloc counts them. The program must use jemalloc.
pub fn live_heap() -> Result<u64, MachineError> {
    tikv_jemalloc_ctl::epoch::advance().map_err(MachineError::Jemalloc)?; // else the figures are those of the last epoch
    Ok(tikv_jemalloc_ctl::stats::allocated::read().map_err(MachineError::Jemalloc)? as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn fields_are_read_by_their_whole_name() {
        let rollup = "5500-7ff rw-p 0 0:0 0 [rollup]\nRss:     2048 kB\nPss:      1 kB\nPss_Dirty:   9 kB\n";
        assert_eq!(
            (field(rollup, "Rss"), field(rollup, "Pss"), field(rollup, "Swap")),
            (Some(2048 << 10), Some(1024), None)
        );
    }

    /// One test, for both figures are of the whole process: other tests allocate meanwhile, but none as much as this.
    #[test]
    fn touched_memory_is_resident_and_live_until_it_is_dropped() {
        let (before, live_before) = (resident(std::process::id()).unwrap(), live_heap().unwrap());
        let block = std::hint::black_box(vec![1_u8; 256 << 20]);
        let (held, live) = (resident(std::process::id()).unwrap(), live_heap().unwrap());
        drop(block);
        let live_after = live_heap().unwrap();
        assert!(held.rss >= before.rss + (128 << 20) && held.pss > before.pss, "{before:?} {held:?}");
        assert!(
            live > live_before + (128 << 20) && live_after + (128 << 20) < live,
            "{live_before} {live} {live_after}"
        );
    }

    #[test]
    fn a_process_that_is_not_there_has_no_memory() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(resident(child.id()).is_err());
    }
}
