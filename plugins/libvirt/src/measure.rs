//! The samples of one instance, from its statistics and definition.

use std::sync::Arc;

use nephoscope_model::{CycleId, Subject, Value, Volume};

use crate::definition::Definition;
use crate::groups::Groups;
use crate::history::{Counters, History};
use crate::instance::Server;
use crate::meter::{Of, Row, TABLE, When};
use crate::options::Options;
use crate::stats::{BlockStats, DomainStats};

/// `VIR_DOMAIN_SHUTOFF`.
const SHUT_OFF: u64 = 5;

/// The enabled meters of a poll.
pub(crate) struct Wanted {
    rows: Vec<&'static Row>,
    /// The groups that libvirt must return.
    pub(crate) groups: Groups,
}

impl Wanted {
    pub(crate) fn of(options: &Options, wants: impl Fn(&str) -> bool) -> Self {
        let is_wanted =
            |row: &&Row| (row.when != When::Legacy || options.legacy_meters) && wants(row.meter.name);
        let rows: Vec<_> = TABLE.iter().filter(is_wanted).collect();
        let groups = rows.iter().fold(Groups::STATE, |groups, row| groups | row.groups);
        Self { rows, groups }
    }
}

/// Samples of one instance: meter, subject, value.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) samples: Vec<(&'static str, Arc<Subject>, Volume)>,
    /// QEMU did not respond: its values are missing.
    pub(crate) is_locked: bool,
}

/// The parameters of a cycle's measurements.
pub(crate) struct Measure<'a> {
    pub(crate) wanted: &'a Wanted,
    pub(crate) options: &'a Options,
    pub(crate) history: &'a History,
    pub(crate) cycle: &'a CycleId,
    /// When the statistics were read.
    pub(crate) at: f64,
}

impl Measure<'_> {
    pub(crate) fn instance(&self, server: &Server, stats: &DomainStats, definition: &Definition) -> Measured {
        let is_shut_off = stats.state == Some(SHUT_OFF);
        let applies = |row: &&&Row| match row.when {
            When::Always => true,
            When::Reported => !is_shut_off || self.options.report_stopped_instance_metrics,
            When::Active | When::Legacy => !is_shut_off,
        };
        let rows: Vec<&Row> = self.wanted.rows.iter().filter(applies).copied().collect();
        let mut measured = Measured {
            samples: Vec::with_capacity(rows.len()),
            is_locked: self.is_locked(stats, definition),
        };
        self.whole(&rows, server, stats, &mut measured);
        self.disks(&rows, server, stats, definition, &mut measured);
        self.interfaces(&rows, server, stats, definition, &mut measured);
        measured
    }

    /// Returns the samples of an instance without a known domain.
    pub(crate) fn without_domain(&self, server: &Server) -> Measured {
        let value = |row: &&'static Row| match row.value {
            Of::Server(value) => Some((row.meter.name, server.subject.clone(), value(server).into())),
            _ => None,
        };
        Measured {
            samples: self.wanted.rows.iter().filter_map(value).collect(),
            is_locked: false,
        }
    }

    fn whole(&self, rows: &[&Row], server: &Server, stats: &DomainStats, measured: &mut Measured) {
        for row in rows {
            let (subject, value) = match row.value {
                Of::Server(value) => (server.subject.clone(), Some(value(server).into())),
                Of::Domain(value) => (server.subject.clone(), value(stats, self.options)),
                Of::Cpu(value) => {
                    let number = stats.vcpu_current.map_or(Value::Null, Value::from);
                    (server.with("cpu_number", number), value(stats, self.options))
                }
                Of::Disk(_) | Of::Interface(_) | Of::Change(_) => continue,
            };
            if let Some(value) = value {
                measured.samples.push((row.meter.name, subject, value));
            }
        }
    }

    fn disks(
        &self,
        rows: &[&Row],
        server: &Server,
        stats: &DomainStats,
        definition: &Definition,
        measured: &mut Measured,
    ) {
        if !rows.iter().any(|row| matches!(row.value, Of::Disk(_))) {
            return;
        }
        for disk in &definition.disks {
            let Some(block) = block(stats, &disk.device) else {
                continue;
            };
            let subject = server.disk(disk);
            for row in rows {
                if let Of::Disk(value) = row.value
                    && let Some(value) = value(block)
                {
                    measured.samples.push((row.meter.name, subject.clone(), value));
                }
            }
        }
    }

    fn interfaces(
        &self,
        rows: &[&Row],
        server: &Server,
        stats: &DomainStats,
        definition: &Definition,
        measured: &mut Measured,
    ) {
        if !rows
            .iter()
            .any(|row| matches!(row.value, Of::Interface(_) | Of::Change(_)))
        {
            return;
        }
        let wants_change = rows.iter().any(|row| matches!(row.value, Of::Change(_)));
        for interface in &definition.interfaces {
            let Some(net) = stats.nets.iter().find(|net| net.name == interface.device) else {
                continue;
            };
            let subject = server.interface(interface);
            let change = wants_change.then(|| {
                let counters = Counters {
                    at: self.at,
                    rx: net.rx.bytes,
                    tx: net.tx.bytes,
                };
                self.history
                    .change(self.cycle, stats.uuid, &interface.device, counters)
            });
            for row in rows {
                let value = match (&row.value, &change) {
                    (Of::Interface(value), _) => value(net),
                    (Of::Change(value), Some(change)) => value(change),
                    _ => None,
                };
                if let Some(value) = value {
                    measured.samples.push((row.meter.name, subject.clone(), value));
                }
            }
        }
    }

    /// Whether QEMU was not queried because the domain is busy with a hanging call. The disks are the best indicator; without
    /// disks, the balloon is.
    fn is_locked(&self, stats: &DomainStats, definition: &Definition) -> bool {
        if !stats.is_active() {
            return false;
        }
        if self.wanted.groups.contains(Groups::BLOCK) {
            let qemu_disks = definition.disks.iter().filter(|disk| disk.is_qemu);
            let blocks: Vec<_> = qemu_disks.filter_map(|disk| block(stats, &disk.device)).collect();
            if !blocks.is_empty() {
                return blocks.iter().all(|block| block.read.requests.is_none());
            }
        }
        self.wanted.groups.contains(Groups::BALLOON)
            && definition.has_balloon
            && stats.balloon.current.is_some()
            && stats.balloon.last_update.is_none()
    }
}

fn block<'a>(stats: &'a DomainStats, device: &str) -> Option<&'a BlockStats> {
    stats.blocks.iter().find(|block| block.name == device)
}
