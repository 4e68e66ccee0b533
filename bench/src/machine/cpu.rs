//! Which CPUs a process may use, and how much of them it has used.

use super::{MachineError, read, system};
use rustix::{
    param::clock_ticks_per_second,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use std::time::Duration;

/// The CPUs that the calling thread may use, by number.
pub fn cpus() -> Result<Vec<usize>, MachineError> {
    let set = sched_getaffinity(None).map_err(system("asking for the CPUs to run on"))?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Keeps the calling thread, and the threads that it starts from now on, on one CPU.
pub fn pin(cpu: usize) -> Result<(), MachineError> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(system(format!("staying on CPU {cpu}")))
}

/// CPU time that another process has used, user and system, in steps of a scheduler tick (usually 10 ms).
pub fn cpu_time(pid: u32) -> Result<Duration, MachineError> {
    let file = format!("/proc/{pid}/stat");
    let ticks = ticks(&read(&file)?).ok_or(MachineError::Format { file, field: "utime and stime" })?;
    Ok(Duration::from_secs(1) * u32::try_from(ticks).unwrap_or(u32::MAX)
        / u32::try_from(clock_ticks_per_second()).unwrap_or(100))
}

/// CPU time that the threads of another process, those that still run, have used, in nanoseconds: for what is too little for
/// [`cpu_time`] (`/proc/PID/task/TID/schedstat`).
pub fn run_time(pid: u32) -> Result<Duration, MachineError> {
    let directory = format!("/proc/{pid}/task");
    let failed = |source| MachineError::System { what: format!("reading {directory}"), source };
    let mut total = Duration::ZERO;
    for thread in std::fs::read_dir(&directory).map_err(failed)? {
        let file = thread.map_err(failed)?.path().join("schedstat");
        // A thread that ended meanwhile used next to nothing.
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let nanos = text.split_ascii_whitespace().next().and_then(|field| field.parse().ok());
        let file = file.display().to_string();
        total += Duration::from_nanos(nanos.ok_or(MachineError::Format { file, field: "time on the CPU" })?);
    }
    Ok(total)
}

/// Fields 14 and 15. The second field is the program's name in parentheses, and may hold anything: count from its end.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::process_cpu_time;

    #[test]
    fn ticks_are_read_behind_any_program_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 168 0 0 0 12 30 0 0 20 0 1 0 9 1 2";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_cpu_time_is_near_what_its_own_clock_says() {
        let own = process_cpu_time();
        let seen = cpu_time(std::process::id()).unwrap();
        assert!(seen + Duration::from_millis(50) >= own, "{seen:?} {own:?}");
    }

    /// Of a process with one thread: where threads end, as those of other tests here do, what they used is not counted any more.
    #[test]
    fn a_process_run_time_grows_with_its_work() {
        let mut busy = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let (start, deadline) = (run_time(busy.id()), std::time::Instant::now() + Duration::from_secs(30));
        let grown = || run_time(busy.id()).is_ok_and(|now| start.as_ref().is_ok_and(|start| now > *start));
        let mut has_grown = grown();
        while !has_grown && std::time::Instant::now() < deadline {
            std::thread::yield_now();
            has_grown = grown();
        }
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(has_grown, "still at {start:?}");
    }

    #[test]
    fn a_pinned_thread_has_one_cpu() {
        let last = *cpus().unwrap().last().unwrap();
        std::thread::spawn(move || {
            pin(last).unwrap();
            assert_eq!(cpus().unwrap(), [last]);
        })
        .join()
        .unwrap();
    }
}
