//! Measures of another process, from /proc.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

use crate::error::{BenchError, Context};

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// The proportional set size: private pages, and a part of shared pages.
    pub(crate) pss: f64,
    /// Private pages that were written. The kernel cannot drop them.
    pub(crate) private_dirty: f64,
}

/// Reads the memory of a process from `/proc/PID/smaps_rollup`.
pub(crate) fn memory(process: u32) -> Result<Memory, BenchError> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))
        .context("read the memory of a process; did it end?")?;
    memory_of(&text)
}

fn memory_of(smaps: &str) -> Result<Memory, BenchError> {
    let bytes = |key: &str| {
        let line = smaps.lines().find_map(|line| line.strip_prefix(key));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kibibytes
            .map(|number| number * 1024.0)
            .ok_or_else(|| BenchError::new(format!("smaps_rollup has no `{key}`")))
    };
    Ok(Memory {
        pss: bytes("Pss:")?,
        private_dirty: bytes("Private_Dirty:")?,
    })
}

/// Returns the proportional set size of a process in bytes.
pub(crate) fn pss(process: u32) -> Result<f64, BenchError> {
    Ok(memory(process)?.pss)
}

/// Returns the CPU time of all threads of a process.
pub(crate) fn cpu(process: u32) -> Result<Duration, BenchError> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))
        .context("read the CPU time of a process; did it end?")?;
    // The name, in parentheses, may contain any character.
    let (_, fields) = text
        .rsplit_once(')')
        .ok_or_else(|| BenchError::new("stat has no name"))?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok());
    let (user, system) = ticks()
        .zip(ticks())
        .ok_or_else(|| BenchError::new("stat has no CPU time"))?;
    let seconds = (user + system) as f64 / clock_ticks_per_second() as f64;
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let smaps = "00400000-7fff [rollup]\nRss:  9000 kB\nPss:  7000 kB\nPss_Dirty:  10 kB\nPrivate_Dirty:  2000 kB\n";
        let expected = Memory {
            pss: 7000.0 * 1024.0,
            private_dirty: 2000.0 * 1024.0,
        };
        assert_eq!(memory_of(smaps).unwrap(), expected);
        assert!(memory_of("Pss:  7000 kB\n").is_err());
    }

    #[test]
    fn this_process_has_memory() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.pss >= memory.private_dirty && memory.private_dirty > 0.0);
    }
}
