//! How long this agent has been out of the pool, as the edges of its cycles see it.

use std::time::Duration;

use nephoscope_coordination::BootTime;

/// Edges are a whole number of intervals apart, but for what two readings of the clocks differ by.
const SLACK: u32 = 4;

/// Since when an agent is out of the pool, and whether that was told.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// The first edge that saw it outside; `None` while it is in the pool.
    since: Option<BootTime>,
    told: bool,
}

impl Outside {
    /// An edge of a schedule of this interval sees the agent outside. Whether it has been there for a whole cycle: `true` once.
    pub(super) fn seen(&mut self, edge: BootTime, interval: Duration) -> bool {
        let since = *self.since.get_or_insert(edge);
        let whole = edge.since(since) >= interval - interval / SLACK;
        whole && !std::mem::replace(&mut self.told, true)
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
    fn it_is_told_once_by_the_second_edge_also_where_that_reads_a_little_early() {
        for second in [17_990, 18_000, 18_010] {
            let mut outside = Outside::default();
            let told = [10_000, second, 26_000, 34_000].map(|edge| outside.seen(at(edge), INTERVAL));
            assert_eq!(told, [false, true, false, false], "{second}");
        }
    }

    #[test]
    fn a_schedule_with_longer_cycles_waits_for_its_own() {
        let mut outside = Outside::default();
        assert!(!outside.seen(at(10_000), INTERVAL));
        assert!(!outside.seen(at(12_000), Duration::from_secs(60)));
        assert!(outside.seen(at(18_000), INTERVAL));
    }
}
