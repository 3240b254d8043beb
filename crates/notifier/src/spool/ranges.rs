//! The numbers of completed records: all below a low mark, and ranges above it.

use std::collections::BTreeMap;

/// A set of numbers that mostly grows from below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// All numbers below are in the set.
    low: u64,
    /// From the first number to the number after the last; the ranges touch neither each other nor the low mark.
    above: BTreeMap<u64, u64>,
}

impl Ranges {
    /// All numbers below `low`.
    pub(super) fn below(low: u64) -> Self {
        Self {
            low,
            above: BTreeMap::new(),
        }
    }

    pub(super) fn low(&self) -> u64 {
        self.low
    }

    /// The ranges above the low mark, in order.
    pub(super) fn above(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        self.above.iter().map(|(start, end)| (*start, *end))
    }

    /// The number after the greatest.
    pub(super) fn end(&self) -> u64 {
        self.above.last_key_value().map_or(self.low, |(_, end)| *end)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        number < self.low
            || self
                .above
                .range(..=number)
                .next_back()
                .is_some_and(|(_, end)| number < *end)
    }

    /// The first number from `number` that is not in the set.
    pub(super) fn next_missing(&self, number: u64) -> u64 {
        let number = number.max(self.low);
        let range = self.above.range(..=number).next_back();
        range.map_or(number, |(_, end)| number.max(*end))
    }

    /// The number of elements of `start..end` in the set.
    pub(super) fn count(&self, start: u64, end: u64) -> u64 {
        let below = self.low.min(end).saturating_sub(start);
        let first = self
            .above
            .range(..=start)
            .next_back()
            .map_or(start, |(first, _)| *first);
        let above = self.above.range(first..end.max(first)).map(|(from, to)| {
            let (from, to) = (*from.max(&start), *to.min(&end));
            to.saturating_sub(from)
        });
        below + above.sum::<u64>()
    }

    /// Adds `start..end`.
    pub(super) fn insert(&mut self, mut start: u64, mut end: u64) {
        start = start.max(self.low);
        if start >= end {
            return;
        }
        if let Some((first, last)) = self.above.range(..=start).next_back().map(|(a, b)| (*a, *b))
            && last >= start
        {
            self.above.remove(&first);
            start = first;
            end = end.max(last);
        }
        while let Some((first, last)) = self.above.range(start..=end).next().map(|(a, b)| (*a, *b)) {
            self.above.remove(&first);
            end = end.max(last);
        }
        if start == self.low {
            self.low = end;
        } else {
            self.above.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_are_a_set(inserts in proptest::collection::vec((0..30u64, 0..6u64), 0..25), low in 0..6u64) {
            let mut ranges = Ranges::below(low);
            let mut set: BTreeSet<u64> = (0..low).collect();
            for (start, length) in inserts {
                ranges.insert(start, start + length);
                set.extend(start..start + length);
                for number in 0..40 {
                    prop_assert_eq!(ranges.contains(number), set.contains(&number));
                    let missing = (number..).find(|number| !set.contains(number));
                    prop_assert_eq!(Some(ranges.next_missing(number)), missing);
                }
                for start in 0..37 {
                    for end in start..37 {
                        prop_assert_eq!(ranges.count(start, end), set.range(start..end).count() as u64);
                    }
                }
                prop_assert_eq!(ranges.end(), set.last().map_or(0, |last| last + 1));
                let mut last = ranges.low();
                for (start, end) in ranges.above() {
                    prop_assert!(start > last && end > start, "apart");
                    last = end;
                }
            }
        }
    }
}
