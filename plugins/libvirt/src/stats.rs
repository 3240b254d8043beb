//! The statistics of a domain, as libvirt names them.
//!
//! Names and units are documented with `virConnectGetAllDomainStats`. What a hypervisor does not tell is `None`.

use std::hash::{DefaultHasher, Hash, Hasher};

use uuid::Uuid;

/// A domain has at most so many virtual CPUs, disks and interfaces; others are left out.
const MOST: usize = 8192;

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
    /// As a number that counts or measures.
    fn number(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) => u64::try_from(number).ok(),
            Self::Float(_) | Self::Bool(_) | Self::Text(_) => None,
        }
    }
}

/// A domain at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DomainStats {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    /// The number that a domain has while it runs.
    pub(crate) id: Option<u32>,
    /// `virDomainState`.
    pub(crate) state: Option<u64>,
    /// Nanoseconds.
    pub(crate) cpu_time: Option<u64>,
    pub(crate) vcpu_current: Option<u64>,
    pub(crate) vcpu_maximum: Option<u64>,
    /// By number; those that are offline have no times.
    pub(crate) vcpus: Vec<VcpuStats>,
    pub(crate) balloon: BalloonStats,
    pub(crate) perf: PerfStats,
    pub(crate) nets: Vec<NetStats>,
    pub(crate) blocks: Vec<BlockStats>,
    /// `block.count`: the group was asked for.
    pub(crate) block_count: Option<u64>,
    /// `net.count`: the group was asked for.
    pub(crate) net_count: Option<u64>,
}

/// A virtual CPU; nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct VcpuStats {
    pub(crate) time: Option<u64>,
    /// In which it had work and the host's CPU did something else.
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
    /// When the guest told last, in seconds since 1970 (0: never). It is there when QEMU was asked.
    pub(crate) last_update: Option<u64>,
}

/// Performance events; there if they are enabled for the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PerfStats {
    pub(crate) cpu_cycles: Option<u64>,
    pub(crate) instructions: Option<u64>,
    pub(crate) cache_references: Option<u64>,
    pub(crate) cache_misses: Option<u64>,
    /// Cache usage in bytes.
    pub(crate) cmt: Option<u64>,
    /// Bytes per second, from all and from local memory.
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

/// What went through an interface in one direction, from the guest's side.
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
    /// Whether it has a file or device of the host; one with a server behind it has none.
    pub(crate) has_path: bool,
    pub(crate) read: TransferStats,
    pub(crate) write: TransferStats,
    /// Bytes.
    pub(crate) allocation: Option<u64>,
    pub(crate) capacity: Option<u64>,
    pub(crate) physical: Option<u64>,
}

/// What a disk has read or written; nanoseconds and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TransferStats {
    pub(crate) requests: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) times: Option<u64>,
}

/// What of a domain changes together with its definition: its start, and the names of its devices. A part is nothing
/// when it was not asked for.
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

    /// Takes a statistic; others than those that meters need are left out.
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

    /// Whether it runs, or is paused.
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
    /// Whether what both know is the same.
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

    /// This, with what only the other knows.
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

/// The item that `3.rest` names, and the rest.
fn numbered<'a, T: Clone + Default>(items: &'a mut Vec<T>, name: &'a str) -> Option<(&'a mut T, &'a str)> {
    let (number, rest) = name.split_once('.')?;
    let number: usize = number.parse().ok()?;
    if number >= MOST {
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
    fn names_find_their_places() {
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
    fn what_is_no_number_or_far_out_is_left_out() {
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
    fn a_shape_changes_with_devices_and_starts_alone() {
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
        // What was not asked for decides nothing, and is learnt later.
        let unasked = stats(&[]).shape();
        assert!(unasked.agrees(&one(true, Some(1))));
        assert!(!unasked.with(&one(true, Some(1))).agrees(&one(false, Some(1))));
    }
}
