//! What the kernel says of another process.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

use crate::trouble::{During, Trouble};

/// The proportional set size of a process, in bytes.
pub(crate) fn pss(process: u32) -> Result<f64, Trouble> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))
        .during("read the memory of a process; did it end?")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes
        .map(|number| number * 1024.0)
        .ok_or_else(|| Trouble::new("smaps_rollup has no Pss"))
}

/// The CPU time that a process has used, all threads.
pub(crate) fn cpu(process: u32) -> Result<Duration, Trouble> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))
        .during("read the CPU time of a process; did it end?")?;
    // The name, in parentheses, may have anything in it.
    let (_, fields) = text
        .rsplit_once(')')
        .ok_or_else(|| Trouble::new("stat has no name"))?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok());
    let (user, system) = ticks()
        .zip(ticks())
        .ok_or_else(|| Trouble::new("stat has no CPU time"))?;
    let seconds = (user + system) as f64 / clock_ticks_per_second() as f64;
    Ok(Duration::from_secs_f64(seconds))
}
