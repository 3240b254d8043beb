//! Exponential backoff for resources that fail permanently: they are skipped for more and more cycles until a success.
//!
//! Ceilometer does not poll such resources again until it is restarted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Timestamp;
use parking_lot::Mutex;

/// The maximum backoff of a resource.
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// A resource that has not failed for this long is dropped.
const RETENTION: Duration = Duration::from_secs(3 * 3600);

/// The minimum time between sweeps for such resources, so that the cost per failure is constant if very many fail at once.
const SWEEP: Duration = Duration::from_secs(60);

/// The maximum number of backed-off resources of one pollster. Further resources are polled in every cycle. An operator who
/// sees it reached should find out why so many fail.
const MAX_RESOURCES: usize = 10_000;

/// The backed-off resources of one pollster on one schedule.
#[derive(Debug, Default)]
pub struct BackedOff(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_hash: HashMap<u128, Entry>,
    /// The time of the last sweep.
    last_sweep: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    key: Arc<str>,
    reason: String,
    failures: u32,
    /// The number of cycles to skip.
    skip: u64,
    since: Timestamp,
    last: Timestamp,
}

/// A backed-off resource, for display.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BackedOffResource {
    /// The resource's key.
    pub key: Arc<str>,
    /// The failure message of the pollster.
    pub reason: String,
    /// The number of consecutive failures.
    pub failures: u32,
    /// The number of further cycles in which it is skipped.
    pub cycles_left: u64,
    /// The time of the first failure.
    #[serde(serialize_with = "crate::record::as_text")]
    pub since: Timestamp,
}

impl BackedOff {
    /// Whether no resource is backed off.
    pub fn is_empty(&self) -> bool {
        self.0.lock().by_hash.is_empty()
    }

    /// Whether the resource is skipped in this cycle. Counts the cycle.
    pub fn skip_cycle(&self, hash: u128) -> bool {
        let mut entries = self.0.lock();
        match entries.by_hash.get_mut(&hash) {
            Some(entry) if entry.skip > 0 => {
                entry.skip -= 1;
                true
            }
            _ => false,
        }
    }

    /// Whether the resource is backed off. Does not count a cycle.
    pub fn contains(&self, hash: u128) -> bool {
        self.0
            .lock()
            .by_hash
            .get(&hash)
            .is_some_and(|entry| entry.skip > 0)
    }

    /// Records a permanent failure in a cycle of this length: the resource is skipped for 2, 4, 8 ... cycles, at most an hour.
    pub fn failed(&self, hash: u128, key: &Arc<str>, reason: String, interval: Duration, now: Timestamp) {
        let mut entries = self.0.lock();
        entries.sweep(RETENTION.max(4 * interval), now);
        let entries = &mut entries.by_hash;
        if entries.len() >= MAX_RESOURCES && !entries.contains_key(&hash) {
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
        let longest = (MAX_BACKOFF.as_secs() / interval.as_secs().max(1)).max(1);
        entry.skip = 2u64.saturating_pow(entry.failures).min(longest);
    }

    /// Records that the resource was measured.
    pub fn succeeded(&self, hash: u128) {
        self.0.lock().by_hash.remove(&hash);
    }

    /// The backed-off resources, sorted by key.
    pub fn list(&self) -> Vec<BackedOffResource> {
        let mut list: Vec<_> = self
            .0
            .lock()
            .by_hash
            .values()
            .map(|entry| BackedOffResource {
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

impl Entries {
    /// Drops resources that are no longer discovered and so are never polled again.
    fn sweep(&mut self, retention: Duration, now: Timestamp) {
        // A clock that was stepped back counts as time that passed.
        let is_within = |since: Timestamp, time: Duration| {
            let passed = now.as_micros() - since.as_micros();
            u64::try_from(passed).is_ok_and(|passed| Duration::from_micros(passed) < time)
        };
        if self.last_sweep.is_some_and(|swept| is_within(swept, SWEEP)) {
            return;
        }
        self.last_sweep = Some(now);
        self.by_hash
            .retain(|_, entry| now < entry.last || is_within(entry.last, retention));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vanished_resources_are_dropped_and_failing_ones_stay() {
        let set = BackedOff::default();
        let failed = |hash: u128, seconds: i64| {
            let (key, interval) = (format!("vm-{hash}").into(), Duration::from_secs(300));
            let now = Timestamp::from_millis(seconds * 1000);
            set.failed(hash, &key, "gone".into(), interval, now);
        };
        failed(1, 0);
        failed(2, 0);
        let hours = 3600;
        failed(2, 2 * hours);
        failed(3, 3 * hours + 60);
        let left: Vec<_> = set.list().into_iter().map(|one| one.key.to_string()).collect();
        assert_eq!(left, ["vm-2", "vm-3"]);
        // Stepped back by a day: nothing is dropped.
        failed(4, -24 * hours);
        assert_eq!(set.list().len(), 3);
    }

    fn fail(set: &BackedOff, interval: u64) -> u64 {
        let now = Timestamp::from_millis(0);
        set.failed(
            1,
            &"vm-1".into(),
            "no such disk".into(),
            Duration::from_secs(interval),
            now,
        );
        let mut skipped = 0;
        while set.skip_cycle(1) {
            skipped += 1;
        }
        skipped
    }

    #[test]
    fn the_backoff_grows_to_at_most_an_hour() {
        let set = BackedOff::default();
        let skipped: Vec<_> = (0..6).map(|_| fail(&set, 300)).collect();
        assert_eq!(skipped, [2, 4, 8, 12, 12, 12]);
        assert_eq!(set.list()[0].failures, 6);
        set.succeeded(1);
        assert!(set.is_empty());
        assert_eq!(fail(&set, 300), 2, "a success resets the backoff");
    }

    #[test]
    fn with_long_intervals_one_cycle_is_skipped() {
        assert_eq!(fail(&BackedOff::default(), 7200), 1);
    }
}
