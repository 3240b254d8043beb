//! Memory and swap.

use async_trait::async_trait;
use nephoscope_model::MeterDef;
use nephoscope_plugin::PollContext;

use crate::findings::Findings;
use crate::machine::Machine;
use crate::meter::*;
use crate::pollster::Area;
use crate::text::{Field, lines, number, words};
use crate::tree::read;

/// The area of memory meters.
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

/// The published lines of `/proc/meminfo`, in KiB.
///
/// procfs is not used here: it rejects the whole file if an expected line is missing, as in containers whose meminfo is
/// emulated.
#[derive(Default)]
struct Meminfo {
    total: Field<u64>,
    free: Field<u64>,
    available: Field<u64>,
    buffers: Field<u64>,
    cached: Field<u64>,
    swap_total: Field<u64>,
    swap_free: Field<u64>,
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
        findings.host_field(&MEMORY_TOTAL, self.total);
        findings.host_field(&MEMORY_USED, used);
        findings.host_field(&MEMORY_BUFFER, self.buffers);
        findings.host_field(&MEMORY_CACHED, self.cached);
        findings.host_field(&MEMORY_AVAILABLE, self.available);
        findings.host_field(&SWAP_TOTAL, self.swap_total);
        findings.host_field(&SWAP_AVAIL, self.swap_free);
        findings.fail_fields("memory", "/proc/meminfo");
    }
}
