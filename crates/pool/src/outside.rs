//! Tracks how long this agent has been outside of the pool, as seen at the edges of its cycles.

use std::time::Duration;

use nephoscope_coordination::BootTime;

/// Two readings of the clocks may shorten the distance of two edges by a part `1/SLACK` of the interval.
const SLACK: u32 = 4;

/// The time since when an agent is outside of the pool, and whether it was reported.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// The first edge at which it was outside; `None` while it is in the pool.
    since: Option<BootTime>,
    reported: bool,
}

impl Outside {
    /// Records that the agent is outside at an edge of a schedule with this interval. Returns `true` once, when it was
    /// outside for a whole_cycle cycle.
    pub(super) fn seen(&mut self, edge: BootTime, interval: Duration) -> bool {
        let since = *self.since.get_or_insert(edge);
        let whole_cycle = edge.since(since) >= interval - interval / SLACK;
        whole_cycle && !std::mem::replace(&mut self.reported, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(8);

    fn at(millis: u64) -> BootTime {
        BootTime::after_boot(Duration::from_millis(millis))
    }

    #[test]
    fn the_second_edge_reports_once_even_if_it_is_slightly_early() {
        for second in [17_990, 18_000, 18_010] {
            let mut outside = Outside::default();
            let reported = [10_000, second, 26_000, 34_000].map(|edge| outside.seen(at(edge), INTERVAL));
            assert_eq!(reported, [false, true, false, false], "{second}");
        }
    }

    #[test]
    fn a_schedule_with_longer_cycles_waits_for_its_own_interval() {
        let mut outside = Outside::default();
        assert!(!outside.seen(at(10_000), INTERVAL));
        assert!(!outside.seen(at(12_000), Duration::from_secs(60)));
        assert!(outside.seen(at(18_000), INTERVAL));
    }
}
