//! The captured log of the process.

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::batches::PATIENCE;

static LINES: OnceLock<Mutex<Vec<(Level, String)>>> = OnceLock::new();

/// Notified of every line.
static LOGGED: Notify = Notify::const_new();

/// Starts to capture log lines at DEBUG and above.
pub(crate) fn capture() {
    LINES.get_or_init(|| {
        tracing_subscriber::registry().with(Capture).init();
        Mutex::default()
    });
}

/// Returns the lines that contain `part`.
pub(crate) fn lines_with(part: &str) -> Vec<(Level, String)> {
    let lines = LINES.get().expect("capture was called").lock();
    lines
        .iter()
        .filter(|(_, line)| line.contains(part))
        .cloned()
        .collect()
}

/// Waits for a line that contains all `parts`.
pub(crate) async fn logged(parts: [&str; 2]) {
    let found = async {
        loop {
            let mut next = pin!(LOGGED.notified());
            next.as_mut().enable();
            let [one, other] = parts;
            if lines_with(one).iter().any(|(_, line)| line.contains(other)) {
                return;
            }
            next.await;
        }
    };
    let found = timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("no log line contains {parts:?}"));
}

struct Capture;

impl<S: Subscriber> Layer<S> for Capture {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::DEBUG
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(format!("{}:", event.metadata().target()));
        event.record(&mut line);
        if let Some(lines) = LINES.get() {
            lines.lock().push((*event.metadata().level(), line.0));
            LOGGED.notify_waiters();
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
