//! The meters: names, types and units are ceilometer's; each has a function that computes its value.

use nephoscope_model::{MeterDef, Volume};

use crate::groups::Groups;
use crate::history::Change;
use crate::instance::Server;
use crate::options::Options;
use crate::stats::{BlockStats, DomainStats, NetStats};

/// KiB in a MiB.
const KIB: f64 = 1024.0;

/// A meter, and how its value is computed.
pub(crate) struct Row {
    pub(crate) meter: MeterDef,
    /// The groups that libvirt must return.
    pub(crate) groups: Groups,
    /// Which instances have the meter.
    pub(crate) when: When,
    pub(crate) value: Of,
}

/// Which instances have a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Instances that are not shut off.
    Active,
    /// Also instances that are shut off, if `report_stopped_instance_metrics` is set.
    Reported,
    /// All instances.
    Always,
    /// Instances that are not shut off, if `legacy_meters` is set.
    Legacy,
}

/// The source of a meter's value. `None`: the hypervisor does not report the value.
pub(crate) enum Of {
    /// The instance, from its attributes.
    Server(fn(&Server) -> i64),
    /// The instance, from its domain.
    Domain(fn(&DomainStats, &Options) -> Option<Volume>),
    /// The instance, with the number of its vCPUs in the metadata.
    Cpu(fn(&DomainStats, &Options) -> Option<Volume>),
    /// Each disk.
    Disk(fn(&BlockStats) -> Option<Volume>),
    /// Each interface.
    Interface(fn(&NetStats) -> Option<Volume>),
    /// Each interface, from the change since the previous cycle.
    Change(fn(&Change) -> Option<Volume>),
}

const fn row(meter: MeterDef, groups: Groups, when: When, value: Of) -> Row {
    Row {
        meter,
        groups,
        when,
        value,
    }
}

use When::{Active, Always, Legacy, Reported};

/// All meters.
pub(crate) const TABLE: &[Row] = &[
    row(
        MeterDef::gauge(
            "power.state",
            "",
            "State of the domain by libvirt's number: 1 running, 3 paused, 5 shut off",
        ),
        Groups::STATE,
        Reported,
        Of::Domain(|domain, _| whole(domain.state)),
    ),
    row(
        MeterDef::cumulative("cpu", "ns", "CPU time of the instance"),
        Groups::CPU.and(Groups::VCPU),
        Active,
        Of::Cpu(|domain, options| whole(cpu_time(domain, options.count_steal_time))),
    ),
    row(
        MeterDef::gauge("vcpus", "vcpu", "Online vCPUs"),
        Groups::VCPU,
        Reported,
        Of::Domain(|domain, _| whole(domain.vcpu_current)),
    ),
    row(
        MeterDef::gauge("memory", "MiB", "Present memory of the instance"),
        Groups::BALLOON,
        Reported,
        Of::Domain(|domain, _| mebibytes(memory(domain))),
    ),
    row(
        MeterDef::gauge(
            "memory.available",
            "MiB",
            "Memory usable by the guest, reported by the guest",
        ),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| mebibytes(domain.balloon.available)),
    ),
    row(
        MeterDef::gauge(
            "memory.usage",
            "MiB",
            "Memory used by the guest, reported by the guest",
        ),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| memory_usage(domain)),
    ),
    row(
        MeterDef::gauge("memory.resident", "MiB", "Host memory used by the instance"),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| mebibytes(domain.balloon.rss)),
    ),
    row(
        MeterDef::cumulative("memory.swap.in", "MiB", "Memory that the guest has swapped in"),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| mebibytes(swap(domain).map(|(swap_in, _)| swap_in))),
    ),
    row(
        MeterDef::cumulative("memory.swap.out", "MiB", "Memory that the guest has swapped out"),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| mebibytes(swap(domain).map(|(_, swap_out)| swap_out))),
    ),
    row(
        MeterDef::gauge("perf.cpu.cycles", "", "CPU cycles, if the perf event is enabled"),
        Groups::PERF,
        Active,
        Of::Domain(|domain, _| whole(domain.perf.cpu_cycles)),
    ),
    row(
        MeterDef::gauge(
            "perf.instructions",
            "",
            "Instructions, if the perf event is enabled",
        ),
        Groups::PERF,
        Active,
        Of::Domain(|domain, _| whole(domain.perf.instructions)),
    ),
    row(
        MeterDef::gauge(
            "perf.cache.references",
            "",
            "Cache references, if the perf event is enabled",
        ),
        Groups::PERF,
        Active,
        Of::Domain(|domain, _| whole(domain.perf.cache_references)),
    ),
    row(
        MeterDef::gauge(
            "perf.cache.misses",
            "",
            "Cache misses, if the perf event is enabled",
        ),
        Groups::PERF,
        Active,
        Of::Domain(|domain, _| whole(domain.perf.cache_misses)),
    ),
    row(
        MeterDef::cumulative(
            "disk.device.read.requests",
            "request",
            "Read requests of the disk",
        ),
        Groups::BLOCK,
        Active,
        Of::Disk(|disk| whole(disk.read.requests)),
    ),
    row(
        MeterDef::cumulative("disk.device.read.bytes", "B", "Bytes read from the disk"),
        Groups::BLOCK,
        Active,
        Of::Disk(|disk| whole(disk.read.bytes)),
    ),
    row(
        MeterDef::cumulative(
            "disk.device.write.requests",
            "request",
            "Write requests of the disk",
        ),
        Groups::BLOCK,
        Active,
        Of::Disk(|disk| whole(disk.write.requests)),
    ),
    row(
        MeterDef::cumulative("disk.device.write.bytes", "B", "Bytes written to the disk"),
        Groups::BLOCK,
        Active,
        Of::Disk(|disk| whole(disk.write.bytes)),
    ),
    row(
        MeterDef::cumulative(
            "disk.device.read.latency",
            "ns",
            "Total time of reads of the disk",
        ),
        Groups::BLOCK,
        Active,
        Of::Disk(|disk| whole(disk.read.times)),
    ),
    row(
        MeterDef::cumulative(
            "disk.device.write.latency",
            "ns",
            "Total time of writes to the disk",
        ),
        Groups::BLOCK,
        Active,
        Of::Disk(|disk| whole(disk.write.times)),
    ),
    row(
        MeterDef::gauge(
            "disk.device.capacity",
            "B",
            "Size of the disk in the guest, or of its image on the host if that is larger",
        ),
        Groups::BLOCK,
        Reported,
        Of::Disk(|disk| whole(capacity(disk))),
    ),
    row(
        MeterDef::gauge(
            "disk.device.allocation",
            "B",
            "Allocated space of the disk on the host",
        ),
        Groups::BLOCK,
        Reported,
        Of::Disk(|disk| whole(disk.allocation)),
    ),
    row(
        MeterDef::gauge("disk.device.usage", "B", "Size of the disk's image on the host"),
        Groups::BLOCK,
        Reported,
        Of::Disk(|disk| whole(disk.physical)),
    ),
    row(
        MeterDef::cumulative("network.incoming.bytes", "B", "Bytes received by the interface"),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.rx.bytes)),
    ),
    row(
        MeterDef::cumulative(
            "network.incoming.packets",
            "packet",
            "Packets received by the interface",
        ),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.rx.packets)),
    ),
    row(
        MeterDef::cumulative(
            "network.incoming.packets.error",
            "packet",
            "Packets received by the interface with errors",
        ),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.rx.errors)),
    ),
    row(
        MeterDef::cumulative(
            "network.incoming.packets.drop",
            "packet",
            "Received packets that the interface dropped",
        ),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.rx.drops)),
    ),
    row(
        MeterDef::cumulative("network.outgoing.bytes", "B", "Bytes sent by the interface"),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.tx.bytes)),
    ),
    row(
        MeterDef::cumulative(
            "network.outgoing.packets",
            "packet",
            "Packets sent by the interface",
        ),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.tx.packets)),
    ),
    row(
        MeterDef::cumulative(
            "network.outgoing.packets.error",
            "packet",
            "Packets that the interface failed to send because of errors",
        ),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.tx.errors)),
    ),
    row(
        MeterDef::cumulative(
            "network.outgoing.packets.drop",
            "packet",
            "Outgoing packets that the interface dropped",
        ),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.tx.drops)),
    ),
    row(
        MeterDef::delta(
            "network.incoming.bytes.delta",
            "B",
            "Bytes received by the interface since the previous cycle; 0 in the first cycle",
        ),
        Groups::INTERFACE,
        Active,
        Of::Change(|change| whole(change.rx)),
    ),
    row(
        MeterDef::delta(
            "network.outgoing.bytes.delta",
            "B",
            "Bytes sent by the interface since the previous cycle; 0 in the first cycle",
        ),
        Groups::INTERFACE,
        Active,
        Of::Change(|change| whole(change.tx)),
    ),
    row(
        MeterDef::gauge(
            "network.incoming.bytes.rate",
            "B/s",
            "Bytes received by the interface per second since the previous cycle; no sample in the first cycle",
        ),
        Groups::INTERFACE,
        Active,
        Of::Change(|change| change.rate(change.rx)),
    ),
    row(
        MeterDef::gauge(
            "network.outgoing.bytes.rate",
            "B/s",
            "Bytes sent by the interface per second since the previous cycle; no sample in the first cycle",
        ),
        Groups::INTERFACE,
        Active,
        Of::Change(|change| change.rate(change.tx)),
    ),
    row(
        MeterDef::gauge(
            "disk.ephemeral.size",
            "GiB",
            "Size of the ephemeral disks of the flavor",
        ),
        Groups::STATE,
        Always,
        Of::Server(|server| server.ephemeral),
    ),
    row(
        MeterDef::gauge(
            "disk.root.size",
            "GiB",
            "Size of the flavor's disk without the ephemeral disks",
        ),
        Groups::STATE,
        Always,
        Of::Server(|server| server.disk.saturating_sub(server.ephemeral)),
    ),
    row(
        MeterDef::gauge(
            "cpu_l3_cache",
            "B",
            "L3 cache used by the instance, if the perf event is enabled; only with `legacy_meters`",
        ),
        Groups::PERF,
        Legacy,
        Of::Domain(|domain, _| whole(domain.perf.cmt)),
    ),
    row(
        MeterDef::gauge(
            "memory.bandwidth.total",
            "B/s",
            "Total memory bandwidth, if the perf event is enabled; only with `legacy_meters`",
        ),
        Groups::PERF,
        Legacy,
        Of::Domain(|domain, _| whole(domain.perf.mbmt)),
    ),
    row(
        MeterDef::gauge(
            "memory.bandwidth.local",
            "B/s",
            "Local memory bandwidth, if the perf event is enabled; only with `legacy_meters`",
        ),
        Groups::PERF,
        Legacy,
        Of::Domain(|domain, _| whole(domain.perf.mbml)),
    ),
];

/// The meters for the registration.
pub(crate) const METERS: [MeterDef; TABLE.len()] = {
    let mut meters = [TABLE[0].meter; TABLE.len()];
    let mut index = 0;
    while index < TABLE.len() {
        meters[index] = TABLE[index].meter;
        index += 1;
    }
    meters
};

fn whole(number: Option<u64>) -> Option<Volume> {
    number.map(Volume::from)
}

fn mebibytes(kibibytes: Option<u64>) -> Option<Volume> {
    kibibytes.map(|kibibytes| Volume::from(kibibytes as f64 / KIB))
}

/// Returns the CPU time in nanoseconds, by ceilometer's rule: the sum of the vCPUs' times including their steal times. If
/// some online vCPUs do not report both, the time of the whole domain, which excludes steal time.
fn cpu_time(domain: &DomainStats, count_steal_time: bool) -> Option<u64> {
    if !count_steal_time {
        return domain.cpu_time;
    }
    let maximum = usize::try_from(domain.vcpu_maximum.unwrap_or(0)).unwrap_or(usize::MAX);
    let mut complete = 0;
    let mut sum = 0_u64;
    for vcpu in domain.vcpus.iter().take(maximum) {
        if let (Some(time), Some(wait)) = (vcpu.time, vcpu.wait) {
            complete += 1;
            sum = sum.saturating_add(time).saturating_add(wait);
        }
    }
    match domain.vcpu_current {
        Some(current) if current == complete => Some(sum),
        Some(_) => domain.cpu_time,
        // Ceilometer publishes 0 if nothing is known.
        None => (complete > 0).then_some(sum),
    }
}

/// Returns the balloon's current size; the maximum for an inactive domain.
fn memory(domain: &DomainStats) -> Option<u64> {
    if domain.is_active() {
        domain.balloon.current
    } else {
        domain.balloon.maximum
    }
}

fn memory_usage(domain: &DomainStats) -> Option<Volume> {
    let available = domain.balloon.available?;
    let free = domain.balloon.usable.or(domain.balloon.unused)?;
    Some(Volume::from((available as f64 - free as f64) / KIB))
}

/// Returns both values or none.
fn swap(domain: &DomainStats) -> Option<(u64, u64)> {
    domain.balloon.swap_in.zip(domain.balloon.swap_out)
}

/// Ceilometer publishes no capacity if one of the disk's three sizes is missing.
fn capacity(disk: &BlockStats) -> Option<u64> {
    disk.capacity
        .map(|capacity| capacity.max(disk.physical.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Value;
    use uuid::Uuid;

    fn domain(parameters: &[(&str, u64)]) -> DomainStats {
        let mut domain = DomainStats::new(Uuid::from_bytes([1; 16]), "instance-1".to_owned(), Some(1));
        for (name, value) in parameters {
            domain.set(name, Value::Unsigned(*value));
        }
        domain
    }

    #[test]
    fn cpu_time_is_that_of_ceilometer() {
        // The expected values were computed by ceilometer.
        let two = domain(&[
            ("vcpu.current", 2),
            ("vcpu.maximum", 4),
            ("vcpu.0.time", 10_000),
            ("vcpu.0.wait", 10_000),
            ("vcpu.2.time", 10_000),
            ("vcpu.2.wait", 10_000),
        ]);
        assert_eq!(cpu_time(&two, true), Some(40_000));
        let no_waits = domain(&[
            ("vcpu.current", 2),
            ("vcpu.maximum", 2),
            ("vcpu.0.time", 1),
            ("vcpu.1.time", 2),
            ("cpu.time", 777),
        ]);
        assert_eq!(cpu_time(&no_waits, true), Some(777));
        let complete = [
            ("vcpu.maximum", 2),
            ("vcpu.0.time", 1),
            ("vcpu.0.wait", 1),
            ("vcpu.1.time", 2),
            ("vcpu.1.wait", 1),
            ("cpu.time", 777),
        ];
        let mut surplus = domain(&complete);
        surplus.vcpu_current = Some(1);
        assert_eq!(cpu_time(&surplus, true), Some(777));
        assert_eq!(cpu_time(&domain(&complete), true), Some(5));
        assert_eq!(cpu_time(&domain(&complete), false), Some(777));
        assert_eq!(cpu_time(&domain(&[("cpu.time", 777)]), true), None);
    }

    #[test]
    fn memory_usage_prefers_usable_memory() {
        let all = [
            ("balloon.available", 2_000_000),
            ("balloon.unused", 1_000_000),
            ("balloon.usable", 1_500_000),
        ];
        assert_eq!(memory_usage(&domain(&all)), Some(Volume::Float(488.28125)));
        assert_eq!(memory_usage(&domain(&all[..2])), Some(Volume::Float(976.5625)));
        assert_eq!(memory_usage(&domain(&all[..1])), None);
        assert_eq!(memory_usage(&domain(&all[1..])), None);
    }

    #[test]
    fn there_are_ceilometers_thirty_six_meters_and_three_legacy_ones() {
        let legacy = TABLE.iter().filter(|row| row.when == Legacy).count();
        assert_eq!((METERS.len(), legacy), (39, 3));
    }
}
