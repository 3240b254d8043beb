//! Durations as people write them, as the options of plugins have them too.

pub use nephoscope_plugin::{DurationError, HumanDuration, MAX_DURATION};
