//! The statistics of a domain, with libvirt's names.
//!
//! The documentation of `virConnectGetAllDomainStats` defines names and units. A value that the hypervisor does not report
//! is `None`.

use std::hash::{DefaultHasher, Hash, Hasher};

use uuid::Uuid;

/// The maximum number of vCPUs, disks and interfaces of a domain; others are ignored.
const MAX_ITEMS: usize = 8192;

/// The value of a statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
    Text(&'a str),
}

impl Value<'_> {
    /// Returns the value as a count or size.
    fn number(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) => u64::try_from(number).ok(),
            Self::Float(_) | Self::Bool(_) | Self::Text(_) => None,
        }
    }
}

/// The statistics of a domain at one time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DomainStats {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    /// The id of an active domain.
    pub(crate) id: Option<u32>,
    /// `virDomainState`.
    pub(crate) state: Option<u64>,
    /// Nanoseconds.
    pub(crate) cpu_time: Option<u64>,
    pub(crate) vcpu_current: Option<u64>,
    pub(crate) vcpu_maximum: Option<u64>,
    /// By number; offline vCPUs have no times.
    pub(crate) vcpus: Vec<VcpuStats>,
    pub(crate) balloon: BalloonStats,
    pub(crate) perf: PerfStats,
    pub(crate) nets: Vec<NetStats>,
    pub(crate) blocks: Vec<BlockStats>,
    /// `block.count`: present if the group was requested.
    pub(crate) block_count: Option<u64>,
    /// `net.count`: present if the group was requested.
    pub(crate) net_count: Option<u64>,
}

/// A vCPU; nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct VcpuStats {
    pub(crate) time: Option<u64>,
    /// Steal time: the vCPU was runnable and the host's CPU ran something else.
    pub(crate) wait: Option<u64>,
}

/// Memory in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BalloonStats {
    pub(crate) current: Option<u64>,
    pub(crate) maximum: Option<u64>,
    pub(crate) available: Option<u64>,
    pub(crate) usable: Option<u64>,
    pub(crate) unused: Option<u64>,
    pub(crate) rss: Option<u64>,
    pub(crate) swap_in: Option<u64>,
    pub(crate) swap_out: Option<u64>,
    /// The time of the guest's last report, in seconds since 1970 (0: never). Present if QEMU was queried.
    pub(crate) last_update: Option<u64>,
}

/// Perf events; present if they are enabled for the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PerfStats {
    pub(crate) cpu_cycles: Option<u64>,
    pub(crate) instructions: Option<u64>,
    pub(crate) cache_references: Option<u64>,
    pub(crate) cache_misses: Option<u64>,
    /// Cache usage in bytes.
    pub(crate) cmt: Option<u64>,
    /// Bytes per second, of all and of local memory.
    pub(crate) mbmt: Option<u64>,
    pub(crate) mbml: Option<u64>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct NetStats {
    pub(crate) name: String,
    pub(crate) rx: DirectionStats,
    pub(crate) tx: DirectionStats,
}

/// The counters of an interface in one direction, from the guest's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DirectionStats {
    pub(crate) bytes: Option<u64>,
    pub(crate) packets: Option<u64>,
    pub(crate) errors: Option<u64>,
    pub(crate) drops: Option<u64>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BlockStats {
    pub(crate) name: String,
    /// Whether it is a file or device of the host; network disks are not.
    pub(crate) has_path: bool,
    pub(crate) read: TransferStats,
    pub(crate) write: TransferStats,
    /// Bytes.
    pub(crate) allocation: Option<u64>,
    pub(crate) capacity: Option<u64>,
    pub(crate) physical: Option<u64>,
}

/// The counters of a disk in one direction; nanoseconds and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TransferStats {
    pub(crate) requests: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) times: Option<u64>,
}

/// The parts of a domain's statistics that change with its definition: its start, and the names of its devices. A part is
/// `None` if it was not requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shape {
    start: Option<u64>,
    disks: Option<u64>,
    interfaces: Option<u64>,
}

impl DomainStats {
    pub(crate) fn new(uuid: Uuid, name: String, id: Option<u32>) -> Self {
        Self {
            uuid,
            name,
            id,
            state: None,
            cpu_time: None,
            vcpu_current: None,
            vcpu_maximum: None,
            vcpus: Vec::new(),
            balloon: BalloonStats::default(),
            perf: PerfStats::default(),
            nets: Vec::new(),
            blocks: Vec::new(),
            block_count: None,
            net_count: None,
        }
    }

    /// Sets a statistic; those that no meter needs are ignored.
    pub(crate) fn set(&mut self, name: &str, value: Value<'_>) {
        let Some((group, rest)) = name.split_once('.') else {
            return;
        };
        let number = value.number();
        match group {
            "state" if rest == "state" => self.state = number,
            "cpu" if rest == "time" => self.cpu_time = number,
            "balloon" => self.balloon.set(rest, number),
            "perf" => self.perf.set(rest, number),
            "vcpu" => match rest {
                "current" => self.vcpu_current = number,
                "maximum" => self.vcpu_maximum = number,
                _ => {
                    if let Some((vcpu, rest)) = numbered(&mut self.vcpus, rest) {
                        vcpu.set(rest, number);
                    }
                }
            },
            "net" if rest == "count" => self.net_count = number,
            "net" => {
                if let Some((net, rest)) = numbered(&mut self.nets, rest) {
                    net.set(rest, value);
                }
            }
            "block" if rest == "count" => self.block_count = number,
            "block" => {
                if let Some((block, rest)) = numbered(&mut self.blocks, rest) {
                    block.set(rest, value);
                }
            }
            _ => {}
        }
    }

    /// Whether the domain is active: running or paused.
    pub(crate) fn is_active(&self) -> bool {
        self.id.is_some()
    }

    pub(crate) fn shape(&self) -> Shape {
        let disks = || hash(self.blocks.iter().map(|block| (&block.name, block.has_path)));
        let interfaces = || hash(self.nets.iter().map(|net| &net.name));
        Shape {
            start: Some(hash(self.id)),
            disks: self.block_count.map(|_| disks()),
            interfaces: self.net_count.map(|_| interfaces()),
        }
    }
}

impl Shape {
    /// Whether the parts that both have are equal.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let pairs = [
            (self.start, other.start),
            (self.disks, other.disks),
            (self.interfaces, other.interfaces),
        ];
        pairs
            .into_iter()
            .all(|(one, other)| one.zip(other).is_none_or(|(one, other)| one == other))
    }

    /// Returns this shape, with the parts that only the other has.
    pub(crate) fn with(&self, other: &Self) -> Self {
        Self {
            start: self.start.or(other.start),
            disks: self.disks.or(other.disks),
            interfaces: self.interfaces.or(other.interfaces),
        }
    }
}

fn hash(items: impl IntoIterator<Item = impl Hash>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for item in items {
        item.hash(&mut hasher);
    }
    hasher.finish()
}

/// Returns the item with the number in `3.rest`, and the rest.
fn numbered<'a, T: Clone + Default>(items: &'a mut Vec<T>, name: &'a str) -> Option<(&'a mut T, &'a str)> {
    let (number, rest) = name.split_once('.')?;
    let number: usize = number.parse().ok()?;
    if number >= MAX_ITEMS {
        return None;
    }
    if number >= items.len() {
        items.resize(number + 1, T::default());
    }
    Some((items.get_mut(number)?, rest))
}

impl VcpuStats {
    fn set(&mut self, name: &str, number: Option<u64>) {
        match name {
            "time" => self.time = number,
            "wait" => self.wait = number,
            _ => {}
        }
    }
}

impl BalloonStats {
    fn set(&mut self, name: &str, number: Option<u64>) {
        let place = match name {
            "current" => &mut self.current,
            "maximum" => &mut self.maximum,
            "available" => &mut self.available,
            "usable" => &mut self.usable,
            "unused" => &mut self.unused,
            "rss" => &mut self.rss,
            "swap_in" => &mut self.swap_in,
            "swap_out" => &mut self.swap_out,
            "last-update" => &mut self.last_update,
            _ => return,
        };
        *place = number;
    }
}

impl PerfStats {
    fn set(&mut self, name: &str, number: Option<u64>) {
        let place = match name {
            "cpu_cycles" => &mut self.cpu_cycles,
            "instructions" => &mut self.instructions,
            "cache_references" => &mut self.cache_references,
            "cache_misses" => &mut self.cache_misses,
            "cmt" => &mut self.cmt,
            "mbmt" => &mut self.mbmt,
            "mbml" => &mut self.mbml,
            _ => return,
        };
        *place = number;
    }
}

impl NetStats {
    fn set(&mut self, name: &str, value: Value<'_>) {
        match (name.split_once('.'), value) {
            (None, Value::Text(text)) if name == "name" => self.name = text.to_owned(),
            (Some(("rx", counter)), _) => self.rx.set(counter, value.number()),
            (Some(("tx", counter)), _) => self.tx.set(counter, value.number()),
            _ => {}
        }
    }
}

impl DirectionStats {
    fn set(&mut self, name: &str, number: Option<u64>) {
        let place = match name {
            "bytes" => &mut self.bytes,
            "pkts" => &mut self.packets,
            "errs" => &mut self.errors,
            "drop" => &mut self.drops,
            _ => return,
        };
        *place = number;
    }
}

impl BlockStats {
    fn set(&mut self, name: &str, value: Value<'_>) {
        match (name, value) {
            ("name", Value::Text(text)) => self.name = text.to_owned(),
            ("path", _) => self.has_path = true,
            ("allocation", _) => self.allocation = value.number(),
            ("capacity", _) => self.capacity = value.number(),
            ("physical", _) => self.physical = value.number(),
            _ => match name.split_once('.') {
                Some(("rd", counter)) => self.read.set(counter, value.number()),
                Some(("wr", counter)) => self.write.set(counter, value.number()),
                _ => {}
            },
        }
    }
}

impl TransferStats {
    fn set(&mut self, name: &str, number: Option<u64>) {
        let place = match name {
            "reqs" => &mut self.requests,
            "bytes" => &mut self.bytes,
            "times" => &mut self.times,
            _ => return,
        };
        *place = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(parameters: &[(&str, Value<'_>)]) -> DomainStats {
        let mut stats = DomainStats::new(Uuid::from_bytes([1; 16]), "instance-1".to_owned(), Some(1));
        for (name, value) in parameters {
            stats.set(name, *value);
        }
        stats
    }

    #[test]
    fn names_set_their_values() {
        let stats = stats(&[
            ("state.state", Value::Signed(1)),
            ("vcpu.2.wait", Value::Unsigned(7)),
            ("net.0.name", Value::Text("tap-1")),
            ("net.0.tx.drop", Value::Unsigned(4)),
            ("block.1.name", Value::Text("vdb")),
            ("block.1.path", Value::Text("/dev/x")),
            ("block.1.wr.times", Value::Unsigned(11)),
            ("balloon.swap_in", Value::Unsigned(10)),
            ("perf.cpu_cycles", Value::Unsigned(5)),
        ]);
        assert_eq!(stats.state, Some(1));
        assert_eq!(stats.vcpus.len(), 3);
        assert_eq!(stats.vcpus[2].wait, Some(7));
        assert_eq!(
            (stats.nets[0].name.as_str(), stats.nets[0].tx.drops),
            ("tap-1", Some(4))
        );
        assert_eq!(stats.blocks[1].write.times, Some(11));
        assert!(stats.blocks[1].has_path && !stats.blocks[0].has_path);
        assert_eq!(
            (stats.balloon.swap_in, stats.perf.cpu_cycles),
            (Some(10), Some(5))
        );
    }

    #[test]
    fn invalid_and_out_of_range_values_are_ignored() {
        let stats = stats(&[
            ("cpu.time", Value::Signed(-1)),
            ("balloon.current", Value::Text("many")),
            ("balloon.maximum", Value::Float(1.0)),
            ("vcpu.18446744073709551615.time", Value::Unsigned(1)),
            ("vcpu.9999999.time", Value::Unsigned(1)),
            ("vcpu.-1.time", Value::Unsigned(1)),
            ("block", Value::Bool(true)),
            ("", Value::Unsigned(1)),
        ]);
        assert_eq!(stats, self::stats(&[]));
    }

    #[test]
    fn a_shape_changes_only_with_devices_and_starts() {
        let one = |path: bool, id| {
            let mut stats = stats(&[
                ("block.count", Value::Unsigned(1)),
                ("block.0.name", Value::Text("sda")),
                ("block.0.rd.bytes", Value::Unsigned(9)),
            ]);
            if path {
                stats.set("block.0.path", Value::Text("/x.iso"));
            }
            stats.id = id;
            stats.shape()
        };
        assert!(one(true, Some(1)).agrees(&one(true, Some(1))));
        assert!(!one(true, Some(1)).agrees(&one(false, Some(1))));
        assert!(!one(true, Some(1)).agrees(&one(true, None)));
        // A part that was not requested is ignored, and added later.
        let unasked = stats(&[]).shape();
        assert!(unasked.agrees(&one(true, Some(1))));
        assert!(!unasked.with(&one(true, Some(1))).agrees(&one(false, Some(1))));
    }
}
