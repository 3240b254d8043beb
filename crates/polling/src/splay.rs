//! Splay: spreads the start of host cycles over hosts, so that a thousand agents do not all start on the same edge.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher24;

/// The maximum delay.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Returns the delay of this agent for schedules of this interval, from a fixed hash of its id: at most a tenth of the
/// interval and 30 s. It changes only when a cycle starts, not its identity.
pub fn of(agent_id: &str, interval: Duration) -> Duration {
    let longest = (interval / 10).min(MAX_DELAY);
    let mut hasher = SipHasher24::new();
    hasher.write(agent_id.as_bytes());
    let part = hasher.finish() as f64 / u64::MAX as f64;
    // Whole milliseconds, the resolution of timers.
    Duration::from_millis((longest.as_millis() as f64 * part) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_spread_over_a_tenth_of_the_interval() {
        let delays: Vec<_> = (0..1000)
            .map(|index| of(&format!("host-{index}"), Duration::from_secs(300)))
            .collect();
        assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(30)));
        let first_half = delays
            .iter()
            .filter(|delay| **delay < Duration::from_secs(15))
            .count();
        assert!(
            (400..600).contains(&first_half),
            "{first_half} of 1000 start in the first half"
        );
        assert_eq!(
            of("host-1", Duration::from_secs(300)),
            of("host-1", Duration::from_secs(300))
        );
        assert!(of("host-1", Duration::from_secs(10)) <= Duration::from_secs(1));
    }
}
