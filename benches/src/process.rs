//! What a process uses up: time on processors, memory, commits to a database.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};

/// How many times a second the kernel counts where it tells the time of other processes; fixed for programs on Linux.
const TICKS_PER_S: f64 = 100.0;

/// Time on processors of this process, over all threads that it ever had.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The resident set of a process, in MiB.
pub(crate) fn resident_mib(process: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.context("the memory of a process is read from /proc")?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).context("/proc does not tell the resident set")
}

/// Time on processors of processes and all that they have started, those included that have ended and were waited for.
pub(crate) fn cpu_of_trees(roots: &[u32]) -> Duration {
    let all = all_processes();
    let mut wanted = roots.to_vec();
    let mut ticks = 0.0;
    while let Some(process) = wanted.pop() {
        wanted.extend(all.iter().filter(|(_, (parent, _))| *parent == process).map(|(child, _)| *child));
        ticks += all.get(&process).map_or(0.0, |(_, ticks)| *ticks);
    }
    Duration::from_secs_f64(ticks / TICKS_PER_S)
}

/// Every process, with its parent and its time in ticks.
fn all_processes() -> HashMap<u32, (u32, f64)> {
    let Ok(folder) = std::fs::read_dir("/proc") else { return HashMap::new() };
    let numbers = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter_map(|process| Some((process, stat(process)?))).collect()
}

fn stat(process: u32) -> Option<(u32, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((fields.get(1)?.parse().ok()?, ticks(11)? + ticks(12)? + ticks(13)? + ticks(14)?))
}

/// How many transactions a SQLite database has seen since its write-ahead log was opened, as the log's index counts them.
///
/// Read from outside, so that whoever writes is not asked.
pub(crate) fn commits(database: &Path) -> Option<u32> {
    let mut index = database.as_os_str().to_owned();
    index.push("-shm");
    let bytes = std::fs::read(PathBuf::from(index)).ok()?;
    // The third word of the header: a counter of transactions, in the byte order of the machine.
    Some(u32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?))
}
