//! A sign of life on standard error for what takes longer than a second.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval_at};

use crate::output::stderr_is_terminal;

/// What is quicker needs none.
const AFTER: Duration = Duration::from_secs(1);

/// How often it moves.
const EVERY: Duration = Duration::from_millis(100);

/// Shows how many samples have come, from a second on, until this future is dropped. Nothing where no person
/// reads standard error.
pub(super) async fn show(wanted: bool, samples: impl Fn() -> u64) {
    if !wanted || !stderr_is_terminal() {
        return std::future::pending().await;
    }
    let mut moves = interval_at(Instant::now() + AFTER, EVERY);
    moves.tick().await;
    let bar = Bar(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} polling for {elapsed}: {pos} samples") {
        bar.0.set_style(style);
    }
    bar.0.set_elapsed(AFTER);
    loop {
        bar.0.set_position(samples());
        bar.0.tick();
        moves.tick().await;
    }
}

/// Leaves no trace on the screen.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
