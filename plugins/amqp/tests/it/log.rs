//! What the process has logged, all of it.

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

/// Told of every line.
static SAID: Notify = Notify::const_new();

/// Begins to keep what is logged at DEBUG and above.
pub(crate) fn keep() {
    LINES.get_or_init(|| {
        tracing_subscriber::registry().with(Keeper).init();
        Mutex::default()
    });
}

/// Lines with `part`.
pub(crate) fn lines_with(part: &str) -> Vec<(Level, String)> {
    let lines = LINES.get().expect("keep was called").lock();
    lines
        .iter()
        .filter(|(_, line)| line.contains(part))
        .cloned()
        .collect()
}

/// Waits for a line with all `parts`.
pub(crate) async fn said(parts: [&str; 2]) {
    let heard = async {
        loop {
            let mut next = pin!(SAID.notified());
            next.as_mut().enable();
            let [one, other] = parts;
            if lines_with(one).iter().any(|(_, line)| line.contains(other)) {
                return;
            }
            next.await;
        }
    };
    let heard = timeout(PATIENCE, heard).await;
    heard.unwrap_or_else(|_| panic!("nothing was said with {parts:?}"));
}

struct Keeper;

impl<S: Subscriber> Layer<S> for Keeper {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::DEBUG
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(format!("{}:", event.metadata().target()));
        event.record(&mut line);
        if let Some(lines) = LINES.get() {
            lines.lock().push((*event.metadata().level(), line.0));
            SAID.notify_waiters();
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
