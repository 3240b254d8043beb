//! How long a test waits for something that has to happen.

use std::time::{Duration, Instant};

/// How long anything may take. Nothing comes near it: whoever waits as long has found a bug, or a machine that stands still.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The end of a wait.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// The end of a wait that begins now and has [`PATIENCE`].
    #[must_use]
    pub fn start() -> Self {
        Self::after(PATIENCE)
    }

    /// The end of a time that begins now.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the program under test runs on the real clock, and so does the test"
    )]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The time that is left, or nothing.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the program under test runs on the real clock, and so does the test"
    )]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }
}
