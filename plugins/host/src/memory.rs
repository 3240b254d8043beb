//! Memory and swap.

use async_trait::async_trait;
use nephoscope_model::MeterDef;
use nephoscope_plugin::PollContext;

use crate::findings::Findings;
use crate::machine::Machine;
use crate::meter::*;
use crate::pollster::Area;
use crate::text::{Told, lines, number, words};
use crate::tree::read;

/// The area.
pub(crate) struct Memory;

#[async_trait]
impl Area for Memory {
    const METERS: &'static [MeterDef] = MEMORY_METERS;

    async fn measure(&self, machine: &Machine, _: &PollContext, findings: &mut Findings<'_>) {
        let mut text = Vec::new();
        match read(machine.tree.proc("meminfo"), &mut text) {
            Ok(()) => Meminfo::of(&text).report(findings),
            Err(error) => findings.fail("memory", error),
        }
    }
}

/// The lines of `/proc/meminfo` that are published, in KiB.
///
/// Read here: procfs refuses the whole file when one of the lines that it expects is missing, which is so in containers
/// whose meminfo is made by a program.
#[derive(Default)]
struct Meminfo {
    total: Told<u64>,
    free: Told<u64>,
    available: Told<u64>,
    buffers: Told<u64>,
    cached: Told<u64>,
    swap_total: Told<u64>,
    swap_free: Told<u64>,
}

impl Meminfo {
    fn of(text: &[u8]) -> Self {
        let mut info = Self::default();
        for line in lines(text) {
            let mut words = words(line);
            let value = match words.next() {
                Some(b"MemTotal:") => &mut info.total,
                Some(b"MemFree:") => &mut info.free,
                Some(b"MemAvailable:") => &mut info.available,
                Some(b"Buffers:") => &mut info.buffers,
                Some(b"Cached:") => &mut info.cached,
                Some(b"SwapTotal:") => &mut info.swap_total,
                Some(b"SwapFree:") => &mut info.swap_free,
                _ => continue,
            };
            *value = number(words.next());
        }
        info
    }

    fn report(&self, findings: &mut Findings<'_>) {
        let used = self
            .total
            .and_then(|total| self.free.map(|free| total.saturating_sub(free)));
        findings.host_told(&MEMORY_TOTAL, self.total);
        findings.host_told(&MEMORY_USED, used);
        findings.host_told(&MEMORY_BUFFER, self.buffers);
        findings.host_told(&MEMORY_CACHED, self.cached);
        findings.host_told(&MEMORY_AVAILABLE, self.available);
        findings.host_told(&SWAP_TOTAL, self.swap_total);
        findings.host_told(&SWAP_AVAIL, self.swap_free);
        findings.fail_untold("memory", "/proc/meminfo");
    }
}
