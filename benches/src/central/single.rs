//! One agent and a large cloud: how long its cycles take, and the most memory that it takes.

use std::time::Duration;

use nephoscope_cloud::{Cloud, Size};
use nephoscope_tests::{Deadline, Lab};
use tokio::runtime::Runtime;

use super::pool::{LOOK, Record, records};
use crate::process::pss;
use crate::trouble::Trouble;

/// Seconds between cycles: enough for a hundred pages.
const INTERVAL: u64 = 20;

/// How often memory is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// How long a cycle is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// An agent that has polled a large listing.
pub(crate) struct Large {
    /// The most memory (PSS) that it had at any moment, in bytes.
    pub(crate) memory: f64,
    /// Its cycles.
    pub(crate) cycles: Vec<Record>,
}

/// Lets an agent poll some meters of a cloud for so many cycles; how many requests it makes at once is bounded, and not how many
/// in a second.
pub(crate) fn measure(
    runtime: &Runtime,
    cloud: &Cloud,
    meters: &str,
    cycles: usize,
) -> Result<Large, Trouble> {
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
            return Err(Trouble::new(format!(
                "waited in vain for a cycle: {}",
                program.stderr()
            )));
        }
        runtime.block_on(async { tokio::time::sleep(GLANCE).await });
        looked += GLANCE;
    }
}

/// A cloud with so many of one kind, and nothing else.
pub(crate) fn size_of(volumes: usize, floating_ips: usize) -> Size {
    Size {
        volumes,
        floating_ips,
        ..Size::of(0)
    }
}
