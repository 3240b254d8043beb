//! The log events of the program: one typed function per event.

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

pub(crate) fn listening(address: &str) {
    tracing::info!(address, "the admin API listens");
}

pub(crate) fn metrics_served(address: &str) {
    tracing::info!(address, "metrics are served");
}

pub(crate) fn nothing_to_poll() {
    tracing::warn!("no source has anything to poll: `nephoscope check` shows the polling plan");
}

pub(crate) fn configuration_warning(line: &str) {
    tracing::warn!("configuration: {line}");
}

pub(crate) fn built_in_configuration() {
    tracing::info!("no configuration found: polling this machine with the built-in polling.yaml");
}

pub(crate) fn reload_rejected(line: &str) {
    tracing::error!("the configuration is rejected; the previous one stays in use: {line}");
}

pub(crate) fn reload_without_change() {
    tracing::info!("configuration reloaded without changes");
}

pub(crate) fn reloaded(applied: Applied, plugins: bool, publishers: usize) {
    tracing::info!(
        added = applied.added,
        removed = applied.removed,
        unchanged = applied.unchanged,
        plugins_reloaded = plugins,
        publishers_changed = publishers,
        "configuration applied"
    );
}

pub(crate) fn restart_required(keys: &[&str]) {
    tracing::warn!(keys = keys.join(", "), "changed keys require a restart");
}

pub(crate) fn not_watched(error: &notify::Error) {
    tracing::warn!(%error, "cannot watch the configuration files; SIGHUP reloads them");
}

pub(crate) fn stopping(cause: &str, within: Duration) {
    tracing::info!(cause, ?within, "stopping");
}

pub(crate) fn stopped(dropped_samples: u64) {
    tracing::info!(dropped_samples, "stopped");
}

pub(crate) fn stopped_at_once(signal: &str) {
    tracing::warn!(signal, "second signal: terminated; samples in memory are lost");
}

pub(crate) fn watchdog_withheld(last_tick_age: f64) {
    tracing::error!(
        last_tick_age,
        "the scheduler is stuck: the systemd watchdog is not notified"
    );
}

pub(crate) fn service_notification_failed(error: &std::io::Error) {
    tracing::warn!(%error, "cannot notify the service manager");
}

pub(crate) fn state_dir(path: &Path) {
    tracing::debug!(path = %path.display(), "state folder locked");
}

pub(crate) fn unused_spool(path: &Path) {
    tracing::warn!(
        path = %path.display(),
        "a spool contains samples and no publisher uses it: configure a publisher with this folder, or remove it"
    );
}

/// Logs a panic. A panic of a plugin ends only its poll.
pub(crate) fn panicked(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(thread = thread.name(), location, "panicked: {message}");
}
