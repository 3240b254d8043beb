//! CPU time, load, processes and uptime.

use async_trait::async_trait;
use nephoscope_model::{CycleId, MeterDef, ScheduleId, Timestamp};
use nephoscope_plugin::{Failure, PollContext};
use parking_lot::Mutex;
use procfs::{FromRead, Uptime};

use crate::findings::Findings;
use crate::machine::Machine;
use crate::meter::*;
use crate::pollster::Area;
use crate::text::{Field, decimal, lines, number, words};
use crate::tree::read;

/// For how many schedules the previous readings are stored. With more, the least recently used ones are dropped: their
/// next percentages are since boot.
const MAX_SCHEDULES: usize = 64;

const LOADS: [MeterDef; 3] = [LOAD_1MIN, LOAD_5MIN, LOAD_15MIN];

const PERCENTAGES: [MeterDef; 2] = [CPU_UTIL, SYSTEM_CPU_IDLE];

/// Meters from `/proc/stat`.
const STAT: [MeterDef; 13] = [
    CPU_UTIL,
    CPU_USER,
    CPU_NICE,
    CPU_SYSTEM,
    CPU_IDLE,
    CPU_WAIT,
    CPU_KERNEL,
    CPU_INTERRUPT,
    CPU_SOFTIRQ,
    CPU_STEAL,
    SYSTEM_CPU_IDLE,
    PROCESSES_RUNNING,
    PROCESSES_BLOCKED,
];

/// The area of CPU meters.
#[derive(Default)]
pub(crate) struct Cpu {
    history: Mutex<History>,
}

#[async_trait]
impl Area for Cpu {
    const METERS: &'static [MeterDef] = CPU_METERS;

    async fn measure(&self, machine: &Machine, context: &PollContext, findings: &mut Findings<'_>) {
        let mut text = Vec::new();
        if findings.want(&LOADS) {
            match read(machine.tree.proc("loadavg"), &mut text) {
                Ok(()) => loads(&text, findings),
                Err(error) => findings.fail("load", error),
            }
        }
        if findings.want(&STAT) {
            match read(machine.tree.proc("stat"), &mut text) {
                Ok(()) => self.stat(&text, &context.cycle, findings),
                Err(error) => findings.fail("cpu", error),
            }
        }
        if findings.want(&[UPTIME]) {
            match read(machine.tree.proc("uptime"), &mut text) {
                Ok(()) => uptime(&text, findings),
                Err(error) => findings.fail("uptime", error),
            }
        }
    }
}

impl Cpu {
    fn stat(&self, text: &[u8], cycle: &CycleId, findings: &mut Findings<'_>) {
        let mut ticks = Ticks::default();
        let mut running = Field::Missing;
        let mut blocked = Field::Missing;
        for line in lines(text) {
            let mut words = words(line);
            match words.next() {
                Some(b"cpu") => ticks = Ticks::of(words),
                Some(b"procs_running") => running = number(words.next()),
                Some(b"procs_blocked") => blocked = number(words.next()),
                _ => {}
            }
        }
        findings.host_field(&PROCESSES_RUNNING, running);
        findings.host_field(&PROCESSES_BLOCKED, blocked);
        let count = |field| ticks.get(field).ok().unwrap_or(0);
        // As in net-snmp on Linux, the source of ceilometer's meters.
        let system = ticks
            .get(SYSTEM)
            .map(|kernel| kernel.saturating_add(count(IRQ)).saturating_add(count(SOFTIRQ)));
        findings.host_field(&CPU_USER, ticks.get(USER));
        findings.host_field(&CPU_NICE, ticks.get(NICE));
        findings.host_field(&CPU_SYSTEM, system);
        findings.host_field(&CPU_IDLE, ticks.get(IDLE));
        findings.host_field(&CPU_WAIT, ticks.get(WAIT));
        findings.host_field(&CPU_KERNEL, ticks.get(SYSTEM));
        findings.host_field(&CPU_INTERRUPT, ticks.get(IRQ));
        findings.host_field(&CPU_SOFTIRQ, ticks.get(SOFTIRQ));
        findings.host_field(&CPU_STEAL, ticks.get(STEAL));
        if findings.want(&PERCENTAGES) {
            // A missing or invalid other field changes the total only a little.
            let shares = ticks
                .get(USER)
                .and_then(|_| ticks.get(IDLE))
                .and_then(|_| self.history.lock().shares(cycle, ticks));
            findings.host_field(&CPU_UTIL, shares.map(|shares| shares.busy));
            findings.host_field(&SYSTEM_CPU_IDLE, shares.map(|shares| shares.idle));
        }
        findings.fail_fields("cpu", "/proc/stat");
    }
}

fn loads(text: &[u8], findings: &mut Findings<'_>) {
    // procfs parses the averages as f32: 0.14 would become 0.14000000059604645.
    let mut words = words(text);
    for meter in &LOADS {
        findings.host_field(meter, decimal(words.next()));
    }
    findings.fail_fields("load", "/proc/loadavg");
}

fn uptime(text: &[u8], findings: &mut Findings<'_>) {
    match Uptime::from_read(text) {
        Ok(uptime) if uptime.uptime.is_finite() => findings.host(&UPTIME, uptime.uptime),
        _ => findings.fail("uptime", Failure::transient("cannot parse /proc/uptime")),
    }
}

/// Fields of the line `cpu` of `/proc/stat`, in ticks since boot. Guest time is part of user time.
const USER: usize = 0;
const NICE: usize = 1;
const SYSTEM: usize = 2;
const IDLE: usize = 3;
const WAIT: usize = 4;
const IRQ: usize = 5;
const SOFTIRQ: usize = 6;
const STEAL: usize = 7;
const FIELDS: usize = 8;

/// CPU time by kind, in ticks. Old kernels report only the first fields.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Ticks([Field<u64>; FIELDS]);

impl Ticks {
    fn of<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Self {
        Self([(); FIELDS].map(|()| number(words.next())))
    }

    fn get(&self, field: usize) -> Field<u64> {
        self.0.get(field).copied().unwrap_or_default()
    }

    /// Returns the ticks from `before` to this. A field that decreased, as I/O wait sometimes does, counts as unchanged.
    /// `None` if the total decreased: the counters were reset.
    fn since(&self, before: &Self) -> Option<Self> {
        if self.total() < before.total() {
            return None;
        }
        let mut fields = self.0;
        for (field, before) in fields.iter_mut().zip(before.0) {
            *field = field.map(|ticks| ticks.saturating_sub(before.ok().unwrap_or(0)));
        }
        Some(Self(fields))
    }

    fn total(&self) -> u64 {
        let values = self.0.iter().filter_map(|ticks| ticks.ok());
        values.fold(0, u64::saturating_add)
    }

    fn shares(&self) -> Option<Shares> {
        let total = self.total();
        let percent = |ticks: u64| ticks as f64 * 100.0 / total as f64;
        let idle = self.get(IDLE).ok().unwrap_or(0);
        let busy = total
            .saturating_sub(idle)
            .saturating_sub(self.get(WAIT).ok().unwrap_or(0));
        (total > 0).then(|| Shares {
            busy: percent(busy),
            idle: percent(idle),
        })
    }
}

/// Percentages of the time of all CPUs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shares {
    busy: f64,
    idle: f64,
}

/// The previous readings per schedule: tasks with different intervals do not affect each other.
#[derive(Default)]
struct History {
    /// Sorted by last use, the least recent first.
    readings: Vec<Reading>,
}

struct Reading {
    schedule: ScheduleId,
    /// The cycle of `ticks`.
    start: Timestamp,
    /// The ticks of the previous cycle.
    before: Option<Ticks>,
    ticks: Ticks,
    shares: Shares,
}

impl History {
    /// Returns the percentages since the schedule's previous cycle, or since boot. Missing if the kernel has counted no
    /// time.
    fn shares(&mut self, cycle: &CycleId, ticks: Ticks) -> Field<Shares> {
        let known = self
            .readings
            .iter()
            .position(|reading| reading.schedule == cycle.schedule);
        let last = known.map(|index| self.readings.remove(index));
        let before = last.as_ref().and_then(|last| {
            // A repeated poll of a cycle uses the same previous reading.
            if last.start == cycle.start {
                last.before
            } else {
                Some(last.ticks)
            }
        });
        let passed = before.and_then(|before| ticks.since(&before)).unwrap_or(ticks);
        // If no time has passed, the percentages are unchanged.
        let Some(shares) = passed.shares().or(last.map(|last| last.shares)) else {
            return Field::Missing;
        };
        if self.readings.len() >= MAX_SCHEDULES {
            self.readings.remove(0);
        }
        self.readings.push(Reading {
            schedule: cycle.schedule.clone(),
            start: cycle.start,
            before,
            ticks,
            shares,
        });
        Field::Value(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(schedule: &str, number: i64) -> CycleId {
        CycleId::new(
            ScheduleId::new(schedule),
            Timestamp::from_millis(number * 10_000),
            number,
        )
    }

    /// Returns 8 fields: `busy` ticks in user mode, `wait` and `idle`.
    fn ticks(busy: u64, wait: u64, idle: u64) -> Ticks {
        let line = format!("{busy} 0 0 {idle} {wait} 0 0 0 0 0");
        Ticks::of(words(line.as_bytes()))
    }

    fn shares(busy: f64, idle: f64) -> Field<Shares> {
        Field::Value(Shares { busy, idle })
    }

    #[test]
    fn percentages_are_since_boot_at_first_and_then_since_the_previous_poll() {
        let mut history = History::default();
        assert_eq!(
            history.shares(&cycle("a", 1), ticks(100, 100, 800)),
            shares(10.0, 80.0)
        );
        assert_eq!(
            history.shares(&cycle("a", 2), ticks(150, 100, 850)),
            shares(50.0, 50.0)
        );
    }

    #[test]
    fn schedules_do_not_affect_each_other() {
        let mut history = History::default();
        history.shares(&cycle("slow", 1), ticks(0, 0, 1000));
        history.shares(&cycle("fast", 1), ticks(0, 0, 1000));
        history.shares(&cycle("fast", 2), ticks(100, 0, 1000));
        assert_eq!(
            history.shares(&cycle("fast", 3), ticks(100, 0, 1100)),
            shares(0.0, 100.0)
        );
        assert_eq!(
            history.shares(&cycle("slow", 2), ticks(100, 0, 1100)),
            shares(50.0, 50.0)
        );
    }

    #[test]
    fn a_repeated_poll_of_a_cycle_uses_the_same_previous_reading() {
        let mut history = History::default();
        history.shares(&cycle("a", 1), ticks(0, 0, 1000));
        for _ in 0..2 {
            assert_eq!(
                history.shares(&cycle("a", 2), ticks(50, 0, 1050)),
                shares(50.0, 50.0)
            );
        }
    }

    #[test]
    fn unchanged_or_decreased_counters_yield_valid_percentages() {
        let mut history = History::default();
        assert_eq!(history.shares(&cycle("a", 1), ticks(0, 0, 0)), Field::Missing);
        history.shares(&cycle("a", 2), ticks(0, 0, 1000));
        history.shares(&cycle("a", 3), ticks(10, 20, 1010));
        // Unchanged: the same percentages.
        assert_eq!(
            history.shares(&cycle("a", 4), ticks(10, 20, 1010)),
            shares(25.0, 25.0)
        );
        // I/O wait decreased.
        assert_eq!(
            history.shares(&cycle("a", 5), ticks(60, 10, 1060)),
            shares(50.0, 50.0)
        );
        // All counters were reset: since boot.
        assert_eq!(history.shares(&cycle("a", 6), ticks(1, 0, 3)), shares(25.0, 75.0));
        let most = ticks(u64::MAX, u64::MAX, u64::MAX);
        let full = history.shares(&cycle("a", 7), most).ok().unwrap();
        assert!(full.busy >= 0.0 && full.idle <= 100.0, "{full:?}");
    }

    #[test]
    fn the_history_is_bounded_and_drops_the_least_recently_used() {
        let mut history = History::default();
        history.shares(&cycle("old", 1), ticks(0, 0, 1000));
        history.shares(&cycle("recent", 1), ticks(0, 0, 1000));
        for number in 0..MAX_SCHEDULES - 1 {
            history.shares(&cycle("recent", 2), ticks(0, 0, 1000));
            history.shares(&cycle(&format!("s{number}"), 1), ticks(0, 0, 1000));
        }
        assert_eq!(history.readings.len(), MAX_SCHEDULES);
        let half = ticks(1000, 0, 2000);
        assert_eq!(history.shares(&cycle("recent", 3), half), shares(50.0, 50.0));
        let since_boot = history.shares(&cycle("old", 2), half).ok().unwrap();
        assert!((since_boot.busy - 100.0 / 3.0).abs() < 1e-9);
    }
}
