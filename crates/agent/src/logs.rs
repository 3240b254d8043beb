//! The log: lines on standard error, for people, for the journal, or for programs.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::panic;

use nephoscope_config::{LogFormat, LogLevel, hide_userinfo};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::events;
use crate::output::stderr_is_styled;

/// Libraries whose INFO and DEBUG help nobody but their authors.
const CHATTY: [&str; 9] = [
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "notify",
    "reqwest",
    "rustls",
    "tokio_cron_scheduler",
    "tower",
];

/// Begins to log. Nothing happens if something else has done so before (a site's own program).
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    // Targets, not EnvFilter: its regular expressions cost half a megabyte.
    let level = filter(level);
    let chatty = CHATTY.map(|target| (target, level.min(LevelFilter::WARN)));
    let targets = Targets::new()
        .with_default(level)
        .with_targets(chatty)
        // At its lowest level it logs whole frames, the login with the password among them; and what it says of
        // lost connections the publisher says too, once.
        .with_target("lapin", LevelFilter::OFF);
    let registry = tracing_subscriber::registry().with(targets);
    // `try_init` fails only where a subscriber is set already.
    let _ = match format {
        LogFormat::Json => registry
            .with(
                layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_writer(|| Line),
            )
            .try_init(),
        LogFormat::Text if stderr_is_journal() => {
            let lines = Journal(
                Format::default()
                    .without_time()
                    .with_level(false)
                    .with_target(false)
                    .with_ansi(false),
            );
            registry
                .with(layer().event_format(lines).with_ansi(false).with_writer(|| Line))
                .try_init()
        }
        LogFormat::Text => registry
            .with(
                layer()
                    .with_target(false)
                    .with_ansi(stderr_is_styled())
                    .with_writer(|| Line),
            )
            .try_init(),
    };
    // A panic that is contained is an event like any other, and programs read the log line by line.
    panic::set_hook(Box::new(events::panicked));
}

/// A line of the log on standard error, without the user information of URLs: listings and resources may be URLs.
struct Line;

impl Write for Line {
    /// The formatters write a line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = hide_userinfo(&String::from_utf8_lossy(line));
        io::stderr().lock().write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Whether standard error goes to the systemd journal: `JOURNAL_STREAM` has its device and inode.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

/// Lines for the journal: it has the time already, and takes the level as `<4>` (see sd-daemon(3)).
struct Journal(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        out.write_str(match *event.metadata().level() {
            Level::ERROR => "<3>",
            Level::WARN => "<4>",
            Level::INFO => "<6>",
            Level::DEBUG | Level::TRACE => "<7>",
        })?;
        self.0.format_event(context, out, event)
    }
}
