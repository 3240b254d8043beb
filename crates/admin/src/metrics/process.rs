//! The resource usage of the agent's process.

use std::time::Duration;

/// The resource usage of the process; `None` where the kernel reports nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProcessUsage {
    /// CPU time of all threads since the start.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: Option<u64>,
    /// Open file descriptors.
    pub(crate) open_files: Option<u64>,
}

impl ProcessUsage {
    /// Reads the current usage from files of the kernel, which do not block.
    pub(crate) fn of_this_process() -> Self {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Self {
            cpu: Duration::try_from(cpu).unwrap_or_default(),
            resident: std::fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|status| resident(&status)),
            open_files: open_files(),
        }
    }
}

/// `VmRSS` of `/proc/self/status`, which is in units of 1024 bytes (proc_pid_status(5)).
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn open_files() -> Option<u64> {
    let listed = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The file descriptor of this listing is closed on return.
    u64::try_from(listed.saturating_sub(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_in_bytes() {
        let status = "Name:\tnephoscope\nVmHWM:\t   9000 kB\nVmRSS:\t   7744 kB\nThreads:\t5\n";
        assert_eq!(resident(status), Some(7744 * 1024));
        assert_eq!(resident("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn the_usage_of_this_process_is_not_zero() {
        let usage = ProcessUsage::of_this_process();
        assert!(usage.resident.is_some_and(|bytes| bytes > 0));
        assert!(usage.open_files.is_some_and(|files| files > 0));
    }
}
