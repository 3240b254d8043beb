//! Tests that this machine cannot run.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Reports that the test of this thread is skipped: on standard error, and as a line of the file in `NEPHOSCOPE_SKIPPED`, which
/// `tests/run` counts.
///
/// # Panics
///
/// If the file cannot be written.
pub fn report_skipped(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}\n", thread.name().unwrap_or("a test"));
    let _ = write!(std::io::stderr().lock(), "SKIPPED: {line}");
    if let Some(path) = std::env::var_os("NEPHOSCOPE_SKIPPED") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the list of skipped tests can be written");
    }
}

/// Returns whether the test may create mount namespaces. If not, reports the test as skipped.
///
/// # Panics
///
/// If they are not permitted and `CI` is `true`: continuous integration runs all tests.
pub(crate) fn has_mount_namespaces() -> bool {
    static ERROR: OnceLock<Option<String>> = OnceLock::new();
    let Some(error) = ERROR.get_or_init(mount_namespace_error) else {
        return true;
    };
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "no mount namespace, which CI must permit: {error}"
    );
    report_skipped(&format!("no mount namespace: {error}"));
    false
}

/// Tries what the tests need, as in a container or a chroot it is often not permitted.
fn mount_namespace_error() -> Option<String> {
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--net", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc", "true"])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}
