//! Locates the program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the program under test: the path in `NEPHOSCOPE_BIN`, else the program that cargo builds next to the tests. A
/// missing program is built; an existing one is not rebuilt (`cargo build` does that).
pub fn program_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(find)
}

/// Returns the program with failpoints, next to the other one. Builds it if it is missing.
pub fn failpoints_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let folder = folder_of_programs();
        let path = folder.join("nephoscope-failpoints");
        if !path.exists() {
            build(&folder, "nephoscope-failpoints");
        }
        path
    })
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are in a folder of the repository")
}

fn find() -> PathBuf {
    if let Some(path) = std::env::var_os("NEPHOSCOPE_BIN") {
        return path.into();
    }
    let folder = folder_of_programs();
    let path = folder.join("nephoscope");
    if !path.exists() {
        build(&folder, "nephoscope-agent");
    }
    assert!(
        path.is_file(),
        "no program at {}: set NEPHOSCOPE_BIN",
        path.display()
    );
    path
}

/// Returns `target/PROFILE`; the test binary is `target/PROFILE/deps/NAME`.
fn folder_of_programs() -> PathBuf {
    let this = std::env::current_exe().expect("a test knows where it is");
    let folder = this.ancestors().nth(2);
    folder.expect("tests are in target/PROFILE/deps").to_owned()
}

fn build(folder: &Path, package: &str) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(repository())
        .args(["build", "--package", package, "--target-dir"]);
    command.arg(folder.parent().expect("a profile has a target folder"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo can be run");
    assert!(status.success(), "cargo failed to build the program");
}
