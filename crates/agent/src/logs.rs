//! The log on standard error, for people, the journal or programs.

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

/// Libraries whose INFO and DEBUG events are of use only to their authors.
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

/// Starts to log. Does nothing if a subscriber is set already, for example by a site's own program.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    // `Targets` instead of `EnvFilter`: the regular expressions of the latter add half a megabyte.
    let level = filter(level);
    let chatty = CHATTY.map(|target| (target, level.min(LevelFilter::WARN)));
    let targets = Targets::new()
        .with_default(level)
        .with_targets(chatty)
        // Its lowest level logs whole frames, including the login with the password. The publisher logs lost
        // connections itself.
        .with_target("lapin", LevelFilter::OFF);
    let registry = tracing_subscriber::registry().with(targets);
    // `try_init` fails only if a subscriber is set already.
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
    // Caught panics are log events, because programs read the log line by line.
    panic::set_hook(Box::new(events::panicked));
}

/// A log line on standard error. User information of URLs is masked, because discovery URLs and resources may be URLs.
struct Line;

impl Write for Line {
    /// Writes a line. The formatters write whole lines.
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

/// Returns whether standard error is the systemd journal: `JOURNAL_STREAM` contains its device and inode.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

/// The line format for the journal: without the time, and with the level as `<4>` (see sd-daemon(3)).
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
