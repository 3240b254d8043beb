//! A progress indicator on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval_at};

use crate::output::stderr_is_terminal;

/// The indicator appears after this time.
const AFTER: Duration = Duration::from_secs(1);

/// The refresh interval.
const EVERY: Duration = Duration::from_millis(100);

/// Shows the number of samples so far, starting after a second, until this future is dropped. Shows nothing if standard error is
/// not a terminal.
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

/// Clears the indicator on drop.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
