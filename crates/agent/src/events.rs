//! What the program itself says: one typed function for each event of importance.

use std::panic::PanicHookInfo;
use std::path::Path;
use std::time::Duration;

use nephoscope_polling::engine::Applied;

pub(crate) fn started(id: &str, host: &str, tasks: usize, sources: usize) {
    tracing::info!(
        id,
        host,
        tasks,
        sources,
        version = env!("CARGO_PKG_VERSION"),
        "started"
    );
}

pub(crate) fn listening(place: &str) {
    tracing::info!(place, "the admin API listens");
}

pub(crate) fn metrics_served(place: &str) {
    tracing::info!(place, "metrics are served");
}

pub(crate) fn nothing_to_poll() {
    tracing::warn!("no source finds anything to poll: `nephoscope check` shows the plan of work");
}

pub(crate) fn configuration_warning(line: &str) {
    tracing::warn!("configuration: {line}");
}

pub(crate) fn built_in_configuration() {
    tracing::info!("no configuration found: polling this machine with the built-in polling.yaml");
}

pub(crate) fn reload_refused(line: &str) {
    tracing::error!("the configuration stays as it was: {line}");
}

pub(crate) fn reload_without_change() {
    tracing::info!("configuration read again: there is nothing to apply");
}

pub(crate) fn reloaded(applied: Applied, plugins: bool, publishers: usize) {
    tracing::info!(
        added = applied.added,
        removed = applied.removed,
        kept = applied.kept,
        plugins_made_anew = plugins,
        publishers_changed = publishers,
        "configuration applied"
    );
}

pub(crate) fn takes_effect_after_restart(keys: &[&str]) {
    tracing::warn!(
        keys = keys.join(", "),
        "changed keys that take effect after a restart"
    );
}

pub(crate) fn not_watched(error: &notify::Error) {
    tracing::warn!(%error, "changes of the configuration files are not noticed; SIGHUP applies them");
}

pub(crate) fn stopping(cause: &str, within: Duration) {
    tracing::info!(cause, ?within, "stopping");
}

pub(crate) fn stopped(dropped_samples: u64) {
    tracing::info!(dropped_samples, "stopped");
}

pub(crate) fn stopped_at_once(signal: &str) {
    tracing::warn!(
        signal,
        "a second signal: ended at once, what was queued in memory is lost"
    );
}

pub(crate) fn watchdog_withheld(since_tick: f64) {
    tracing::error!(
        since_tick,
        "the scheduler is stuck: the systemd watchdog is not told that all is well"
    );
}

pub(crate) fn service_not_told(error: &std::io::Error) {
    tracing::warn!(%error, "the service manager could not be told of the state");
}

pub(crate) fn state_dir(path: &Path) {
    tracing::debug!(path = %path.display(), "state folder taken");
}

pub(crate) fn spool_left_behind(path: &Path) {
    tracing::warn!(
        path = %path.display(),
        "a spool holds samples, and no publisher uses it: name one for its folder again, or remove it"
    );
}

/// Plugins may panic: it costs their poll alone.
pub(crate) fn panicked(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(thread = thread.name(), place, "panicked: {message}");
}
