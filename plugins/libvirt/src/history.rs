//! Counters of interfaces in the previous cycle, for meters of change.

use std::collections::HashMap;

use nephoscope_model::{CycleId, ScheduleId, Timestamp, Volume};
use parking_lot::Mutex;
use uuid::Uuid;

/// The maximum number of schedules whose counters are stored.
const MAX_SCHEDULES: usize = 16;

/// For how many cycles the counters of an absent interface are stored.
const MAX_ABSENT_CYCLES: u64 = 10;

/// The counters of each interface, by schedule: schedules do not affect each other.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Vec<ScheduleCounters>>);

#[derive(Debug)]
struct ScheduleCounters {
    schedule: ScheduleId,
    start: Timestamp,
    /// The number of the schedule's cycle.
    turn: u64,
    interfaces: HashMap<(Uuid, String), Reading>,
}

#[derive(Debug)]
struct Reading {
    turn: u64,
    before: Option<Counters>,
    now: Counters,
}

/// The bytes of an interface, and when they were read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counters {
    /// Seconds on the monotonic clock.
    pub(crate) at: f64,
    pub(crate) rx: Option<u64>,
    pub(crate) tx: Option<u64>,
}

/// The change since the previous cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    /// Bytes: 0 in the first cycle, and the counter itself after a reset.
    pub(crate) rx: Option<u64>,
    pub(crate) tx: Option<u64>,
    /// `None` in the first cycle.
    seconds: Option<f64>,
}

impl Change {
    fn between(before: Option<&Counters>, now: &Counters) -> Self {
        let passed = |before: Option<u64>, now: Option<u64>| match (before, now?) {
            (Some(before), now) => Some(now.checked_sub(before).unwrap_or(now)),
            (None, _) => Some(0),
        };
        Self {
            rx: passed(before.and_then(|before| before.rx), now.rx),
            tx: passed(before.and_then(|before| before.tx), now.tx),
            seconds: before.map(|before| now.at - before.at),
        }
    }

    /// Returns bytes per second.
    pub(crate) fn rate(&self, bytes: Option<u64>) -> Option<Volume> {
        let seconds = self.seconds.filter(|seconds| *seconds > 0.0)?;
        Some(Volume::from(bytes? as f64 / seconds))
    }
}

impl History {
    /// Stores the counters of an interface and returns the change. A repeated poll of a cycle is compared with the same
    /// previous cycle.
    pub(crate) fn change(&self, cycle: &CycleId, domain: Uuid, device: &str, now: Counters) -> Change {
        let mut schedules = self.0.lock();
        let Some(entry) = ScheduleCounters::find(&mut schedules, cycle) else {
            return Change::between(None, &now);
        };
        let turn = entry.turn;
        match entry.interfaces.get_mut(&(domain, device.to_owned())) {
            None => {
                let reading = Reading {
                    turn,
                    before: None,
                    now,
                };
                entry.interfaces.insert((domain, device.to_owned()), reading);
                Change::between(None, &now)
            }
            Some(reading) => {
                if reading.turn != turn {
                    reading.before = Some(reading.now);
                    reading.turn = turn;
                }
                reading.now = now;
                Change::between(reading.before.as_ref(), &now)
            }
        }
    }
}

impl ScheduleCounters {
    /// Returns the entry of the cycle's schedule, advanced to the cycle; the most recently used entry is last.
    fn find<'a>(all: &'a mut Vec<Self>, cycle: &CycleId) -> Option<&'a mut Self> {
        let known = all.iter().position(|entry| entry.schedule == cycle.schedule);
        let mut entry = match known {
            Some(index) => all.remove(index),
            None => {
                if all.len() >= MAX_SCHEDULES {
                    all.remove(0);
                }
                Self {
                    schedule: cycle.schedule.clone(),
                    start: cycle.start,
                    turn: 0,
                    interfaces: HashMap::new(),
                }
            }
        };
        if entry.start != cycle.start {
            entry.start = cycle.start;
            entry.turn += 1;
            let oldest = entry.turn.saturating_sub(MAX_ABSENT_CYCLES);
            entry.interfaces.retain(|_, reading| reading.turn >= oldest);
        }
        all.push(entry);
        all.last_mut()
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

    fn counters(at: f64, rx: u64) -> Counters {
        Counters {
            at,
            rx: Some(rx),
            tx: None,
        }
    }

    const DOMAIN: Uuid = Uuid::from_bytes([1; 16]);

    fn rx(history: &History, cycle: &CycleId, at: f64, rx: u64) -> (Option<u64>, Option<Volume>) {
        let change = history.change(cycle, DOMAIN, "tap-1", counters(at, rx));
        assert_eq!(change.tx, None);
        (change.rx, change.rate(change.rx))
    }

    #[test]
    fn the_first_change_is_zero_and_a_reset_counter_counts_from_zero() {
        let history = History::default();
        assert_eq!(rx(&history, &cycle("a", 1), 0.0, 100), (Some(0), None));
        let after = rx(&history, &cycle("a", 2), 10.0, 150);
        assert_eq!(after, (Some(50), Some(Volume::Float(5.0))));
        // A repeated poll is compared with the same previous cycle.
        let again = rx(&history, &cycle("a", 2), 20.0, 200);
        assert_eq!(again, (Some(100), Some(Volume::Float(5.0))));
        assert_eq!(rx(&history, &cycle("a", 3), 30.0, 190).0, Some(190));
    }

    #[test]
    fn schedules_domains_and_interfaces_do_not_affect_each_other() {
        let history = History::default();
        rx(&history, &cycle("a", 1), 0.0, 100);
        assert_eq!(rx(&history, &cycle("b", 1), 0.0, 120).0, Some(0));
        assert_eq!(rx(&history, &cycle("b", 2), 1.0, 130).0, Some(10));
        let other = Uuid::from_bytes([2; 16]);
        let change = history.change(&cycle("a", 2), other, "tap-1", counters(1.0, 7));
        assert_eq!(change.rx, Some(0));
        assert_eq!(rx(&history, &cycle("a", 2), 2.0, 140).0, Some(40));
    }

    #[test]
    fn absent_interfaces_and_unused_schedules_are_dropped() {
        let history = History::default();
        rx(&history, &cycle("a", 0), 0.0, 100);
        let other = Uuid::from_bytes([2; 16]);
        for number in 1..=MAX_ABSENT_CYCLES as i64 {
            history.change(&cycle("a", number), other, "tap-2", counters(0.0, 1));
        }
        assert_eq!(
            rx(&history, &cycle("a", MAX_ABSENT_CYCLES as i64), 1.0, 150).0,
            Some(50)
        );
        for number in 1..=MAX_SCHEDULES {
            history.change(&cycle(&format!("s{number}"), 1), other, "tap-2", counters(0.0, 1));
        }
        assert_eq!(rx(&history, &cycle("a", 11), 2.0, 160).0, Some(0));
        assert_eq!(history.0.lock().len(), MAX_SCHEDULES);
    }
}
