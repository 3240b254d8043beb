//! Resources that fail for good: set aside for more and more cycles, and back by the first success.
//!
//! (Ceilometer never polls them again until it is restarted.)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Timestamp;
use parking_lot::Mutex;

/// The longest that a resource is set aside.
const LONGEST: Duration = Duration::from_secs(3600);

/// A resource that was not asked for since is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3 * 3600);

/// How many resources of one pollster are remembered. Above it, further ones are polled in every cycle: an
/// operator should ask why so many fail.
const REMEMBERED: usize = 10_000;

/// The resources that one pollster has set aside on one schedule.
#[derive(Debug, Default)]
pub struct SetAside(Mutex<HashMap<u128, Entry>>);

#[derive(Debug)]
struct Entry {
    key: Arc<str>,
    reason: String,
    failures: u32,
    /// Cycles to pass over.
    skip: u64,
    since: Timestamp,
    last: Timestamp,
}

/// A resource that is set aside, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SetAsideResource {
    /// The resource's key.
    pub key: Arc<str>,
    /// What the pollster said.
    pub reason: String,
    /// How often it failed in a row.
    pub failures: u32,
    /// How many more cycles it is passed over.
    pub cycles_left: u64,
    /// When it failed first.
    #[serde(serialize_with = "crate::record::as_text")]
    pub since: Timestamp,
}

impl SetAside {
    /// Whether nothing is set aside; then nobody need be asked.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Whether the resource is to be passed over in this cycle; counts the cycle.
    pub fn skips(&self, hash: u128) -> bool {
        let mut entries = self.0.lock();
        match entries.get_mut(&hash) {
            Some(entry) if entry.skip > 0 => {
                entry.skip -= 1;
                true
            }
            _ => false,
        }
    }

    /// Whether the resource is to be passed over, without counting a cycle.
    pub fn holds(&self, hash: u128) -> bool {
        self.0.lock().get(&hash).is_some_and(|entry| entry.skip > 0)
    }

    /// The resource failed for good in a cycle of this length: 2, 4, 8 ... cycles without it, an hour at most.
    pub fn failed(&self, hash: u128, key: &Arc<str>, reason: String, interval: Duration, now: Timestamp) {
        let mut entries = self.0.lock();
        // Resources that are gone from the listings are never asked for again.
        let kept = FORGOTTEN.max(4 * interval);
        entries.retain(|_, entry| now.as_micros() - entry.last.as_micros() < kept.as_micros() as i64);
        if entries.len() >= REMEMBERED && !entries.contains_key(&hash) {
            return;
        }
        let entry = entries.entry(hash).or_insert_with(|| Entry {
            key: key.clone(),
            reason: String::new(),
            failures: 0,
            skip: 0,
            since: now,
            last: now,
        });
        entry.last = now;
        entry.failures = entry.failures.saturating_add(1);
        entry.reason = reason;
        let longest = (LONGEST.as_secs() / interval.as_secs().max(1)).max(1);
        entry.skip = 2u64.saturating_pow(entry.failures).min(longest);
    }

    /// The resource was measured.
    pub fn succeeded(&self, hash: u128) {
        self.0.lock().remove(&hash);
    }

    /// What is set aside, by key.
    pub fn list(&self) -> Vec<SetAsideResource> {
        let mut list: Vec<_> = self
            .0
            .lock()
            .values()
            .map(|entry| SetAsideResource {
                key: entry.key.clone(),
                reason: entry.reason.clone(),
                failures: entry.failures,
                cycles_left: entry.skip,
                since: entry.since,
            })
            .collect();
        list.sort_by(|one, other| one.key.cmp(&other.key));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(set: &SetAside, interval: u64) -> u64 {
        let now = Timestamp::from_millis(0);
        set.failed(
            1,
            &"vm-1".into(),
            "no such disk".into(),
            Duration::from_secs(interval),
            now,
        );
        let mut skipped = 0;
        while set.skips(1) {
            skipped += 1;
        }
        skipped
    }

    #[test]
    fn a_resource_stays_away_for_more_and_more_cycles_and_an_hour_at_most() {
        let set = SetAside::default();
        let skipped: Vec<_> = (0..6).map(|_| fail(&set, 300)).collect();
        assert_eq!(skipped, [2, 4, 8, 12, 12, 12]);
        assert_eq!(set.list()[0].failures, 6);
        set.succeeded(1);
        assert!(set.is_empty());
        assert_eq!(fail(&set, 300), 2, "after a success it begins anew");
    }

    #[test]
    fn with_long_intervals_one_cycle_is_passed_over() {
        assert_eq!(fail(&SetAside::default(), 7200), 1);
    }
}
