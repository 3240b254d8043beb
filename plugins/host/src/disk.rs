//! Reads and writes of disks and partitions.

use async_trait::async_trait;
use nephoscope_model::MeterDef;
use nephoscope_plugin::{Failure, PollContext};
use procfs::DiskStat;

use crate::findings::Findings;
use crate::machine::Machine;
use crate::meter::*;
use crate::pollster::Area;
use crate::text::{Field, lines, name, number, words};
use crate::tree::read;

/// The sector size of `/proc/diskstats`, independent of the device's.
const SECTOR_BYTES: u64 = 512;

/// `/proc/vmstat` counts KiB; a block of ceilometer's meters has 512 bytes, as in net-snmp.
const BLOCKS_PER_KIB: u64 = 2;

const DEVICES: [MeterDef; 5] = [READ_BYTES, WRITE_BYTES, READ_REQUESTS, WRITE_REQUESTS, IO_TIME];

const BLOCKS: [MeterDef; 2] = [OUTGOING_BLOCKS, INCOMING_BLOCKS];

/// The area of disk meters.
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
    let mut is_empty = true;
    let mut invalid = Vec::new();
    for line in lines(text) {
        let Some(device) = words(line).nth(2).map(name) else {
            if words(line).next().is_some() {
                invalid.push(line);
            }
            continue;
        };
        if !machine.options.disks.passes(&device) {
            continue;
        }
        is_empty = false;
        // Lines are parsed one by one: an invalid line affects its device only.
        let Some(disk) = str::from_utf8(line)
            .ok()
            .and_then(|line| DiskStat::from_line(line).ok())
        else {
            let message = format!("cannot parse the line of `{device}` in /proc/diskstats");
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
    findings.fail_lines("disks", "/proc/diskstats", &invalid);
    if is_empty && invalid.is_empty() {
        findings.fail(
            "disks",
            Failure::not_supported("the machine has no disk that is measured"),
        );
    }
}

fn blocks(text: &[u8], findings: &mut Findings<'_>) {
    let mut outgoing = Field::Missing;
    let mut incoming = Field::Missing;
    for line in lines(text) {
        let mut words = words(line);
        let blocks = match words.next() {
            Some(b"pgpgout") => &mut outgoing,
            Some(b"pgpgin") => &mut incoming,
            _ => continue,
        };
        *blocks = number(words.next()).map(|kib| kib.saturating_mul(BLOCKS_PER_KIB));
    }
    findings.host_field(&OUTGOING_BLOCKS, outgoing);
    findings.host_field(&INCOMING_BLOCKS, incoming);
    findings.fail_fields("io", "/proc/vmstat");
}
