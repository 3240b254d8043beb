//! Deadlines of waits in tests.

use std::time::{Duration, Instant};

/// The limit of every wait. A wait that reaches it shows a bug or a stalled machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The end of a wait.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the end of a wait that starts now and lasts [`PATIENCE`].
    #[must_use]
    pub fn start() -> Self {
        Self::after(PATIENCE)
    }

    /// Returns the end of a duration that starts now.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the program under test runs on the real clock, and so does the test"
    )]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Returns the remaining time, or zero.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the program under test runs on the real clock, and so does the test"
    )]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns whether the deadline has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }
}
