//! The keys of a source.

/// The keys of a source. The first six are ceilometer's.
pub(super) const KEYS: [&str; 11] = [
    "name",
    "interval",
    "meters",
    "resources",
    "discovery",
    "group_id_coordination_expression",
    "cron",
    "time_zone",
    "offset",
    "partition",
    "timeout",
];
