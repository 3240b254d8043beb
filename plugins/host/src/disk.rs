//! Reads and writes of disks and partitions.

use async_trait::async_trait;
use nephoscope_model::MeterDef;
use nephoscope_plugin::{Failure, PollContext};
use procfs::DiskStat;

use crate::findings::Findings;
use crate::machine::Machine;
use crate::meter::*;
use crate::pollster::Area;
use crate::text::{Told, lines, name, number, words};
use crate::tree::read;

/// The unit of sectors in `/proc/diskstats`, whatever the device's own is.
const SECTOR_BYTES: u64 = 512;

/// `/proc/vmstat` counts KiB; a block of ceilometer's meters has 512 bytes, as net-snmp reckons.
const BLOCKS_PER_KIB: u64 = 2;

const DEVICES: [MeterDef; 5] = [READ_BYTES, WRITE_BYTES, READ_REQUESTS, WRITE_REQUESTS, IO_TIME];

const BLOCKS: [MeterDef; 2] = [OUTGOING_BLOCKS, INCOMING_BLOCKS];

/// The area.
pub(crate) struct Disks;

#[async_trait]
impl Area for Disks {
    const METERS: &'static [MeterDef] = DISK_METERS;

    async fn measure(&self, machine: &Machine, _: &PollContext, findings: &mut Findings<'_>) {
        let mut text = Vec::new();
        if findings.want(&DEVICES) {
            match read(machine.tree.proc("diskstats"), &mut text) {
                Ok(()) => devices(&text, machine, findings),
                Err(error) => findings.fail("disks", error),
            }
        }
        if findings.want(&BLOCKS) {
            match read(machine.tree.proc("vmstat"), &mut text) {
                Ok(()) => blocks(&text, findings),
                Err(error) => findings.fail("io", error),
            }
        }
    }
}

fn devices(text: &[u8], machine: &Machine, findings: &mut Findings<'_>) {
    let mut is_alone = true;
    let mut odd = Vec::new();
    for line in lines(text) {
        let Some(device) = words(line).nth(2).map(name) else {
            if words(line).next().is_some() {
                odd.push(line);
            }
            continue;
        };
        if !machine.options.disks.passes(&device) {
            continue;
        }
        is_alone = false;
        // One line at a time: an odd one costs its device alone.
        let Some(disk) = str::from_utf8(line)
            .ok()
            .and_then(|line| DiskStat::from_line(line).ok())
        else {
            let message = format!("the line of `{device}` in /proc/diskstats cannot be understood");
            findings.fail(device, Failure::transient(message));
            continue;
        };
        let subject = machine.device(&device, |subject| subject.metadata("device", device.clone()));
        let bytes = |sectors: u64| sectors.saturating_mul(SECTOR_BYTES);
        findings.add(&READ_BYTES, &subject, bytes(disk.sectors_read));
        findings.add(&WRITE_BYTES, &subject, bytes(disk.sectors_written));
        findings.add(&READ_REQUESTS, &subject, disk.reads);
        findings.add(&WRITE_REQUESTS, &subject, disk.writes);
        findings.add(&IO_TIME, &subject, disk.time_in_progress);
    }
    findings.fail_odd("disks", "/proc/diskstats", &odd);
    if is_alone && odd.is_empty() {
        findings.fail("disks", Failure::not_supported("there is no disk to measure"));
    }
}

fn blocks(text: &[u8], findings: &mut Findings<'_>) {
    let mut outgoing = Told::No;
    let mut incoming = Told::No;
    for line in lines(text) {
        let mut words = words(line);
        let blocks = match words.next() {
            Some(b"pgpgout") => &mut outgoing,
            Some(b"pgpgin") => &mut incoming,
            _ => continue,
        };
        *blocks = number(words.next()).map(|kib| kib.saturating_mul(BLOCKS_PER_KIB));
    }
    findings.host_told(&OUTGOING_BLOCKS, outgoing);
    findings.host_told(&INCOMING_BLOCKS, incoming);
    findings.fail_untold("io", "/proc/vmstat");
}
