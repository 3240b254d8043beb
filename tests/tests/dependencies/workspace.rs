//! The crates of the workspace and their declared dependencies, from `cargo metadata`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    /// The name of the package.
    pub(crate) name: String,
    /// Its folder, relative to the workspace's root.
    pub(crate) folder: String,
    /// Its normal and build dependencies, those of other systems included.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency of a crate.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The name of the package.
    pub(crate) name: String,
}

impl Member {
    /// Returns the name without `nephoscope-`.
    pub(crate) fn short(&self) -> &str {
        self.name.strip_prefix("nephoscope-").unwrap_or(&self.name)
    }

    /// Returns whether it is a plugin.
    pub(crate) fn is_plugin(&self) -> bool {
        self.folder.starts_with("plugins/")
    }

    /// Returns whether it is for tests and benchmarks.
    pub(crate) fn is_for_tests(&self) -> bool {
        ["tests", "benches"]
            .iter()
            .any(|top| Path::new(&self.folder).starts_with(top))
    }
}

/// Returns all of them.
pub(crate) fn members() -> Vec<Member> {
    let text = cargo(&[
        "metadata",
        "--locked",
        "--offline",
        "--no-deps",
        "--format-version",
        "1",
    ]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo metadata prints JSON");
    let members: Vec<_> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(member)
        .collect();
    assert!(members.len() > 20, "{} crates", members.len());
    members
}

fn member(package: &Value) -> Member {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let folder = manifest
        .parent()
        .and_then(|folder| folder.strip_prefix(root()).ok())
        .expect("the folder is in the workspace");
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    Member {
        name: text(&package["name"]),
        folder: folder.display().to_string(),
        dependencies: dependencies
            .iter()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .map(|dependency| Dependency {
                name: text(&dependency["name"]),
            })
            .collect(),
    }
}

/// Runs cargo and returns its output.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "cargo {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a folder above")
}
