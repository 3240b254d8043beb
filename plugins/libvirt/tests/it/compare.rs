//! Comparison of samples with the output of `virsh` for the same domains.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nephoscope_plugin::model::{Sample, Value};
use nephoscope_tests::libvirt::Daemon;

/// A source of `virsh` output.
pub(crate) enum Virsh<'a> {
    /// The real `virsh`.
    Of(&'a Daemon),
    /// Recorded output.
    Recorded(PathBuf),
}

/// Returns the folder of recorded output.
pub(crate) fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

impl Virsh<'_> {
    /// Returns the output of `virsh COMMAND NAME`.
    pub(crate) fn output(&self, command: &str, name: &str) -> String {
        match self {
            Self::Of(daemon) => {
                let words: Vec<_> = command.split(' ').chain([name]).collect();
                daemon.virsh_output(&words)
            }
            Self::Recorded(folder) => {
                let file = format!("{name}/{}.txt", command.split(' ').next().unwrap());
                fs::read_to_string(folder.join(file)).unwrap()
            }
        }
    }

    /// Returns the names of all domains.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Of(daemon) => {
                let text = daemon.virsh_output(&["list", "--all", "--name"]);
                text.split_whitespace().map(str::to_owned).collect()
            }
            Self::Recorded(folder) => {
                let entries = fs::read_dir(folder).unwrap();
                let mut names: Vec<_> = entries
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect();
                names.sort();
                names
            }
        }
    }

    /// Returns the statistics of a domain by name.
    pub(crate) fn stats(&self, name: &str) -> BTreeMap<String, String> {
        let text = self.output("domstats", name);
        let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Records the output of a real `virsh` for all domains, for machines without libvirt.
pub(crate) fn record(daemon: &Daemon, folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    let virsh = Virsh::Of(daemon);
    for name in virsh.names() {
        let folder = folder.join(&name);
        fs::create_dir_all(&folder).unwrap();
        let write = |file: &str, text: String| {
            let text = text.replace(daemon.path("").to_str().unwrap(), "/var/lib/nova/");
            fs::write(folder.join(file), text.trim_end().to_owned() + "\n").unwrap();
        };
        let (uuid, id) = (virsh.output("domuuid", &name), virsh.output("domid", &name));
        write("identity.txt", format!("{} {}", uuid.trim(), id.trim()));
        write("domain.xml", virsh.output("dumpxml", &name));
        for command in ["domstats", "domblklist --details", "domiflist", "dommemstat"] {
            if command == "dommemstat" && id.trim() == "-" {
                continue;
            }
            let file = format!("{}.txt", command.split(' ').next().unwrap());
            write(&file, virsh.output(command, &name));
        }
    }
}

/// The relation of a meter to a statistic.
enum Unit {
    /// The same number.
    Same,
    /// KiB to MiB.
    Mebibytes,
}

/// Meters of an instance, and their statistics.
const WHOLE: [(&str, &str, Unit); 4] = [
    ("power.state", "state.state", Unit::Same),
    ("vcpus", "vcpu.current", Unit::Same),
    ("memory", "balloon.current", Unit::Mebibytes),
    ("memory.resident", "balloon.rss", Unit::Mebibytes),
];

/// Meters of a disk, and the ends of the names of their statistics.
const DISK: [(&str, &str); 8] = [
    ("disk.device.read.requests", "rd.reqs"),
    ("disk.device.read.bytes", "rd.bytes"),
    ("disk.device.read.latency", "rd.times"),
    ("disk.device.write.requests", "wr.reqs"),
    ("disk.device.write.bytes", "wr.bytes"),
    ("disk.device.write.latency", "wr.times"),
    ("disk.device.allocation", "allocation"),
    ("disk.device.usage", "physical"),
];

/// The same for interfaces.
const INTERFACE: [(&str, &str); 8] = [
    ("network.incoming.bytes", "rx.bytes"),
    ("network.incoming.packets", "rx.pkts"),
    ("network.incoming.packets.error", "rx.errs"),
    ("network.incoming.packets.drop", "rx.drop"),
    ("network.outgoing.bytes", "tx.bytes"),
    ("network.outgoing.packets", "tx.pkts"),
    ("network.outgoing.packets.error", "tx.errs"),
    ("network.outgoing.packets.drop", "tx.drop"),
];

/// The samples of one instance, and the output of `virsh` before and after the poll.
pub(crate) struct Comparison<'a> {
    pub(crate) name: &'a str,
    pub(crate) uuid: &'a str,
    pub(crate) samples: Vec<&'a Sample>,
    pub(crate) before: BTreeMap<String, String>,
    pub(crate) after: BTreeMap<String, String>,
}

impl Comparison<'_> {
    /// Asserts that the samples match the output of `virsh`. Returns the number of compared samples.
    pub(crate) fn assert(&self, virsh: &Virsh<'_>) -> usize {
        let mut compared = 0;
        for (meter, statistic, unit) in WHOLE {
            let volume = self.volume(meter, self.uuid).expect(meter);
            let volume = match unit {
                Unit::Same => volume,
                Unit::Mebibytes => volume * 1024.0,
            };
            self.assert_between(meter, statistic, volume);
            compared += 1;
        }
        self.assert_cpu();
        compared += 1;
        compared += self.assert_disks(virsh);
        compared += self.assert_interfaces(virsh);
        self.assert_memory(virsh);
        compared
    }

    fn volume(&self, meter: &str, resource: &str) -> Option<f64> {
        let of = |sample: &&&Sample| sample.meter.name == meter && *sample.subject.resource_id == *resource;
        let found: Vec<_> = self.samples.iter().filter(of).collect();
        assert!(
            found.len() <= 1,
            "{meter} of {resource} exists {} times",
            found.len()
        );
        found.first().map(|sample| sample.volume.as_f64())
    }

    fn assert_between(&self, meter: &str, statistic: &str, volume: f64) {
        let number = |stats: &BTreeMap<String, String>| {
            let text = stats.get(statistic);
            text.unwrap_or_else(|| panic!("{}: virsh has no {statistic}", self.name))
                .parse::<f64>()
                .unwrap()
        };
        let (before, after) = (number(&self.before), number(&self.after));
        assert!(
            (before.min(after)..=before.max(after)).contains(&volume),
            "{}: {meter} is {volume}, but {statistic} was {before} before and {after} after",
            self.name
        );
    }

    /// Compares the CPU time with the times and waits of the vCPUs.
    fn assert_cpu(&self) {
        let sum = |stats: &BTreeMap<String, String>| -> f64 {
            let parts = stats.iter().filter(|(name, _)| {
                name.starts_with("vcpu.") && (name.ends_with(".time") || name.ends_with(".wait"))
            });
            parts.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
        };
        let volume = self.volume("cpu", self.uuid).unwrap();
        let (before, after) = (sum(&self.before), sum(&self.after));
        assert!((before..=after).contains(&volume), "{before} {volume} {after}");
    }

    /// Compares the disks with a medium, by `virsh domblklist`, and their statistics.
    fn assert_disks(&self, virsh: &Virsh<'_>) -> usize {
        let list = virsh.output("domblklist --details", self.name);
        let rows = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let listed: BTreeSet<String> = rows
            .filter(|row| row.len() == 4 && row[3] != "-")
            .map(|row| row[2].to_owned())
            .collect();
        let found = self.devices("disk_name");
        assert_eq!(found, listed, "{}", self.name);
        let mut compared = 0;
        for disk in &listed {
            let index = self.index("block", disk);
            for (meter, end) in DISK {
                let volume = self.volume(meter, &format!("{}-{disk}", self.uuid)).expect(meter);
                self.assert_between(meter, &format!("block.{index}.{end}"), volume);
                compared += 1;
            }
        }
        compared
    }

    /// Compares the interfaces, by `virsh domiflist`, and their statistics.
    fn assert_interfaces(&self, virsh: &Virsh<'_>) -> usize {
        let list = virsh.output("domiflist", self.name);
        let rows = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let listed: BTreeMap<String, String> = rows
            .filter(|row| row.len() == 5 && row[4].contains(':'))
            .map(|row| (row[0].to_owned(), row[4].to_owned()))
            .collect();
        assert_eq!(
            self.devices("vnic_name"),
            listed.keys().cloned().collect(),
            "{}",
            self.name
        );
        let mut compared = 0;
        for (interface, mac) in &listed {
            let index = self.index("net", interface);
            let id = format!("{}-{}-{interface}", self.name, self.uuid);
            for (meter, end) in INTERFACE {
                let volume = self.volume(meter, &id).expect(meter);
                self.assert_between(meter, &format!("net.{index}.{end}"), volume);
                compared += 1;
            }
            let of = |sample: &&&Sample| *sample.subject.resource_id == *id;
            let sample = self.samples.iter().find(of).unwrap();
            let metadata = Value::Map(sample.subject.metadata.clone());
            assert_eq!(metadata.get("mac").and_then(Value::as_text), Some(mac.as_str()));
        }
        compared
    }

    /// Compares memory with ceilometer's source: `virDomainMemoryStats`.
    fn assert_memory(&self, virsh: &Virsh<'_>) {
        let text = virsh.output("dommemstat", self.name);
        let actual = text.lines().find_map(|line| line.strip_prefix("actual "));
        let actual: f64 = actual.unwrap().trim().parse().unwrap();
        assert_eq!(self.volume("memory", self.uuid), Some(actual / 1024.0));
    }

    /// Returns the values of a metadata key.
    fn devices(&self, key: &str) -> BTreeSet<String> {
        let values = self.samples.iter().filter_map(|sample| {
            let metadata = Value::Map(sample.subject.metadata.clone());
            metadata.get(key).and_then(Value::as_text).map(str::to_owned)
        });
        values.collect()
    }

    fn index(&self, group: &str, device: &str) -> String {
        let is_name = |name: &str| name.starts_with(group) && name.ends_with(".name");
        let found = self
            .before
            .iter()
            .find(|(name, value)| is_name(name) && *value == device);
        let (name, _) = found.unwrap_or_else(|| panic!("{}: no {device}", self.name));
        name.split('.').nth(1).unwrap().to_owned()
    }
}
