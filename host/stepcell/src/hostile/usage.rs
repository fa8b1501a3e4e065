//! What this process has of its machine: memory, descriptors, threads.

use std::fs;

/// What this process has of its machine. What the system does not tell is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// Memory that is there, in bytes.
    pub resident_bytes: Option<u64>,
    /// The most that was there since the last [`ProcessUsage::forget_peak`], in bytes.
    pub peak_bytes: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<usize>,
    /// Threads.
    pub threads: Option<usize>,
}

impl ProcessUsage {
    /// Looks.
    #[must_use]
    pub fn measure() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            resident_bytes: kib_in(&status, "VmRSS:"),
            peak_bytes: kib_in(&status, "VmHWM:"),
            descriptors: entries_in("/proc/self/fd"),
            threads: entries_in("/proc/self/task"),
        }
    }

    /// Begins to look for the most memory anew, where the system can.
    pub fn forget_peak() {
        // Without it, the peak is that of the whole process, and so what an attack cost is told as too much.
        let _ = fs::write("/proc/self/clear_refs", "5");
    }

    /// By how much the process had grown at its peak, in bytes.
    #[must_use]
    pub fn grown_to(self, later: Self) -> Option<u64> {
        Some(later.peak_bytes?.saturating_sub(self.resident_bytes?))
    }
}

fn kib_in(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

fn entries_in(folder: &str) -> Option<usize> {
    Some(fs::read_dir(folder).ok()?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_system_says() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\n";

        assert_eq!((kib_in(status, "VmRSS:"), kib_in(status, "VmHWM:")), (Some(1 << 20), Some(2 << 20)));
        assert_eq!(kib_in("", "VmRSS:"), None);
    }
}
