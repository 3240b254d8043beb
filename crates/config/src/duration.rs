//! Durations in configuration files.

pub use nephoscope_plugin::{DurationError, HumanDuration, MAX_DURATION};
