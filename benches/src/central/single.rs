//! One agent and a large cloud: the duration of its cycles, and its peak memory.

use std::time::Duration;

use nephoscope_cloud::{Cloud, Size};
use nephoscope_tests::{Deadline, Lab};
use tokio::runtime::Runtime;

use super::pool::{LOOK, Record, records};
use crate::error::BenchError;
use crate::process::pss;

/// Seconds between cycles: enough for a hundred pages.
const INTERVAL: u64 = 20;

/// The interval at which memory is read.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The timeout of a cycle.
const PATIENCE: Duration = Duration::from_secs(120);

/// An agent that polled a large listing.
pub(crate) struct Large {
    /// Its peak memory (PSS) in bytes.
    pub(crate) memory: f64,
    /// Its cycles.
    pub(crate) cycles: Vec<Record>,
}

/// Lets an agent poll meters of a cloud for some cycles, with a bound on concurrent requests, but none on their rate.
pub(crate) fn measure(
    runtime: &Runtime,
    cloud: &Cloud,
    meters: &str,
    cycles: usize,
) -> Result<Large, BenchError> {
    let mut options = cloud.options();
    if let Some(options) = options.as_object_mut() {
        options.insert("rate".to_owned(), 0.into());
    }
    let lab = Lab::with(&format!(
        "agent: {{namespaces: [central], id: agent, host: host, state_dir: $LAB/state}}\n\
         notifier: {{publishers: [{{name: none, url: \"discard:\"}}]}}\n\
         plugins: {{openstack: {options}}}\n\
         sources: [{{name: cloud, interval: {INTERVAL}, meters: {meters}}}]\n",
    ));
    let program = lab.nephoscope(&["run"]).start();
    let deadline = Deadline::after(PATIENCE);
    let mut memory: f64 = 0.0;
    let mut looked = Duration::ZERO;
    loop {
        memory = memory.max(pss(program.id())?);
        if looked >= LOOK && program.admin().exists() {
            looked = Duration::ZERO;
            let found = records(&program)?;
            if found.len() >= cycles {
                return Ok(Large {
                    memory,
                    cycles: found,
                });
            }
        }
        if deadline.has_passed() {
            return Err(BenchError::new(format!(
                "timed out waiting for a cycle: {}",
                program.stderr()
            )));
        }
        runtime.block_on(async { tokio::time::sleep(CHECK_INTERVAL).await });
        looked += CHECK_INTERVAL;
    }
}

/// Returns the size of a cloud with resources of these kinds only.
pub(crate) fn size_of(volumes: usize, floating_ips: usize) -> Size {
    Size {
        volumes,
        floating_ips,
        ..Size::of(0)
    }
}
