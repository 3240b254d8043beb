//! The meters: names, types and units are ceilometer's, and each says where its value comes from.

use nephoscope_model::{MeterDef, Volume};

use crate::groups::Groups;
use crate::history::Change;
use crate::instance::Server;
use crate::options::Options;
use crate::stats::{BlockStats, DomainStats, NetStats};

/// KiB in a MiB.
const KIB: f64 = 1024.0;

/// A meter, and how it is measured.
pub(crate) struct Row {
    pub(crate) meter: MeterDef,
    /// What libvirt must be asked for.
    pub(crate) groups: Groups,
    /// Which instances have it.
    pub(crate) when: When,
    pub(crate) value: Of,
}

/// Which instances have a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Those that are not shut off.
    Active,
    /// Those that are shut off too, if `report_stopped_instance_metrics` is set.
    Reported,
    /// All.
    Always,
    /// Those that are not shut off, if `meters_of_19` is set.
    Former,
}

/// Whose value a meter is. `None` is a value that the hypervisor does not tell.
pub(crate) enum Of {
    /// The instance's, by what is known of it.
    Server(fn(&Server) -> i64),
    /// The instance's, by its domain.
    Domain(fn(&DomainStats, &Options) -> Option<Volume>),
    /// The instance's, with the number of its virtual CPUs in the metadata.
    Cpu(fn(&DomainStats, &Options) -> Option<Volume>),
    /// Each disk's.
    Disk(fn(&BlockStats) -> Option<Volume>),
    /// Each interface's.
    Interface(fn(&NetStats) -> Option<Volume>),
    /// Each interface's, by what has changed since the cycle before.
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

use When::{Active, Always, Former, Reported};

/// All meters.
pub(crate) const TABLE: &[Row] = &[
    row(
        MeterDef::gauge(
            "power.state",
            "",
            "State of the domain, as libvirt numbers it: 1 running, 3 paused, 5 shut off",
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
        MeterDef::gauge("vcpus", "vcpu", "Virtual CPUs that are online"),
        Groups::VCPU,
        Reported,
        Of::Domain(|domain, _| whole(domain.vcpu_current)),
    ),
    row(
        MeterDef::gauge("memory", "MiB", "Memory that the instance has at the moment"),
        Groups::BALLOON,
        Reported,
        Of::Domain(|domain, _| mebibytes(memory(domain))),
    ),
    row(
        MeterDef::gauge(
            "memory.available",
            "MiB",
            "Memory that the guest can use at most, as it says itself",
        ),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| mebibytes(domain.balloon.available)),
    ),
    row(
        MeterDef::gauge(
            "memory.usage",
            "MiB",
            "Memory that the guest uses, as it says itself",
        ),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| memory_usage(domain)),
    ),
    row(
        MeterDef::gauge(
            "memory.resident",
            "MiB",
            "Memory of the host that the instance takes",
        ),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| mebibytes(domain.balloon.rss)),
    ),
    row(
        MeterDef::cumulative(
            "memory.swap.in",
            "MiB",
            "What the guest has read from its swap space",
        ),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| mebibytes(swap(domain).map(|(swap_in, _)| swap_in))),
    ),
    row(
        MeterDef::cumulative(
            "memory.swap.out",
            "MiB",
            "What the guest has written to its swap space",
        ),
        Groups::BALLOON,
        Active,
        Of::Domain(|domain, _| mebibytes(swap(domain).map(|(_, swap_out)| swap_out))),
    ),
    row(
        MeterDef::gauge("perf.cpu.cycles", "", "CPU cycles, if the domain counts them"),
        Groups::PERF,
        Active,
        Of::Domain(|domain, _| whole(domain.perf.cpu_cycles)),
    ),
    row(
        MeterDef::gauge("perf.instructions", "", "Instructions, if the domain counts them"),
        Groups::PERF,
        Active,
        Of::Domain(|domain, _| whole(domain.perf.instructions)),
    ),
    row(
        MeterDef::gauge(
            "perf.cache.references",
            "",
            "Cache references, if the domain counts them",
        ),
        Groups::PERF,
        Active,
        Of::Domain(|domain, _| whole(domain.perf.cache_references)),
    ),
    row(
        MeterDef::gauge("perf.cache.misses", "", "Cache misses, if the domain counts them"),
        Groups::PERF,
        Active,
        Of::Domain(|domain, _| whole(domain.perf.cache_misses)),
    ),
    row(
        MeterDef::cumulative("disk.device.read.requests", "request", "Reads of the disk"),
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
        MeterDef::cumulative("disk.device.write.requests", "request", "Writes to the disk"),
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
            "Time that reads of the disk have taken",
        ),
        Groups::BLOCK,
        Active,
        Of::Disk(|disk| whole(disk.read.times)),
    ),
    row(
        MeterDef::cumulative(
            "disk.device.write.latency",
            "ns",
            "Time that writes to the disk have taken",
        ),
        Groups::BLOCK,
        Active,
        Of::Disk(|disk| whole(disk.write.times)),
    ),
    row(
        MeterDef::gauge(
            "disk.device.capacity",
            "B",
            "Size of the disk as the guest sees it, or of its container if that is larger",
        ),
        Groups::BLOCK,
        Reported,
        Of::Disk(|disk| whole(capacity(disk))),
    ),
    row(
        MeterDef::gauge(
            "disk.device.allocation",
            "B",
            "Space of the host that the disk takes",
        ),
        Groups::BLOCK,
        Reported,
        Of::Disk(|disk| whole(disk.allocation)),
    ),
    row(
        MeterDef::gauge(
            "disk.device.usage",
            "B",
            "Size of the disk's container on the host",
        ),
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
            "Packets received by the interface and dropped",
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
            "Packets that the interface could not send because of errors",
        ),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.tx.errors)),
    ),
    row(
        MeterDef::cumulative(
            "network.outgoing.packets.drop",
            "packet",
            "Packets to send that the interface dropped",
        ),
        Groups::INTERFACE,
        Active,
        Of::Interface(|interface| whole(interface.tx.drops)),
    ),
    row(
        MeterDef::delta(
            "network.incoming.bytes.delta",
            "B",
            "Bytes received by the interface since the cycle before; 0 in the first",
        ),
        Groups::INTERFACE,
        Active,
        Of::Change(|change| whole(change.rx)),
    ),
    row(
        MeterDef::delta(
            "network.outgoing.bytes.delta",
            "B",
            "Bytes sent by the interface since the cycle before; 0 in the first",
        ),
        Groups::INTERFACE,
        Active,
        Of::Change(|change| whole(change.tx)),
    ),
    row(
        MeterDef::gauge(
            "network.incoming.bytes.rate",
            "B/s",
            "Bytes received by the interface each second since the cycle before; none in the first",
        ),
        Groups::INTERFACE,
        Active,
        Of::Change(|change| change.rate(change.rx)),
    ),
    row(
        MeterDef::gauge(
            "network.outgoing.bytes.rate",
            "B/s",
            "Bytes sent by the interface each second since the cycle before; none in the first",
        ),
        Groups::INTERFACE,
        Active,
        Of::Change(|change| change.rate(change.tx)),
    ),
    row(
        MeterDef::gauge(
            "disk.ephemeral.size",
            "GiB",
            "Size of the ephemeral disks, by the flavor",
        ),
        Groups::STATE,
        Always,
        Of::Server(|server| server.ephemeral),
    ),
    row(
        MeterDef::gauge(
            "disk.root.size",
            "GiB",
            "Size of the root disk, by the flavor: its disk without what is ephemeral",
        ),
        Groups::STATE,
        Always,
        Of::Server(|server| server.disk.saturating_sub(server.ephemeral)),
    ),
    row(
        MeterDef::gauge(
            "cpu_l3_cache",
            "B",
            "Cache that the instance uses, if the domain counts it; only with `meters_of_19`",
        ),
        Groups::PERF,
        Former,
        Of::Domain(|domain, _| whole(domain.perf.cmt)),
    ),
    row(
        MeterDef::gauge(
            "memory.bandwidth.total",
            "B/s",
            "Traffic to all memory, if the domain counts it; only with `meters_of_19`",
        ),
        Groups::PERF,
        Former,
        Of::Domain(|domain, _| whole(domain.perf.mbmt)),
    ),
    row(
        MeterDef::gauge(
            "memory.bandwidth.local",
            "B/s",
            "Traffic to local memory, if the domain counts it; only with `meters_of_19`",
        ),
        Groups::PERF,
        Former,
        Of::Domain(|domain, _| whole(domain.perf.mbml)),
    ),
];

/// The meters for the registry.
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

/// The CPU time, in nanoseconds, by ceilometer's rule: the times of the virtual CPUs with those in which they waited for
/// a CPU of the host. Where some that are online do not tell both, the time of the whole domain, which has no such
/// waits in it.
fn cpu_time(domain: &DomainStats, count_steal_time: bool) -> Option<u64> {
    if !count_steal_time {
        return domain.cpu_time;
    }
    let maximum = usize::try_from(domain.vcpu_maximum.unwrap_or(0)).unwrap_or(usize::MAX);
    let mut told = 0;
    let mut sum = 0_u64;
    for vcpu in domain.vcpus.iter().take(maximum) {
        if let (Some(time), Some(wait)) = (vcpu.time, vcpu.wait) {
            told += 1;
            sum = sum.saturating_add(time).saturating_add(wait);
        }
    }
    match domain.vcpu_current {
        Some(current) if current == told => Some(sum),
        Some(_) => domain.cpu_time,
        // Ceilometer says 0 where nothing is known.
        None => (told > 0).then_some(sum),
    }
}

/// What the balloon leaves the guest; all that it will have for one that does not run.
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

/// Both or none.
fn swap(domain: &DomainStats) -> Option<(u64, u64)> {
    domain.balloon.swap_in.zip(domain.balloon.swap_out)
}

/// Ceilometer has none where it cannot have all three sizes of a disk.
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
    fn cpu_time_is_what_ceilometer_says() {
        // The cases were run through ceilometer.
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
    fn memory_usage_prefers_what_is_usable() {
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
    fn there_are_ceilometers_thirty_six_meters_and_three_of_19() {
        let former = TABLE.iter().filter(|row| row.when == Former).count();
        assert_eq!((METERS.len(), former), (39, 3));
    }
}
