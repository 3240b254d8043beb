//! The packages of a workspace, from `cargo metadata`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::PolicyError;

/// A package with the fields that the rules need.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// `None` for packages of this repository.
    pub(crate) source: Option<String>,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    id: String,
}

/// A dependency in a manifest.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) req: String,
    /// The folder of a path dependency.
    pub(crate) path: Option<PathBuf>,
}

/// The packages of a workspace on some systems, by name and version.
pub(crate) struct Packages(BTreeMap<(String, String), Package>);

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

/// Its nodes are only packages that are built for the system.
#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

impl Packages {
    /// Returns the packages of `manifest` with all features on each of `targets`.
    pub(crate) fn of(manifest: &Path, targets: &[String]) -> Result<Self, PolicyError> {
        let mut all = BTreeMap::new();
        for target in targets {
            let metadata = ask(manifest, target)?;
            for package in metadata.packages {
                if metadata.resolve.nodes.iter().any(|node| node.id == package.id) {
                    all.insert((package.name.clone(), package.version.clone()), package);
                }
            }
        }
        Ok(Self(all))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Package> {
        self.0.values()
    }
}

fn ask(manifest: &Path, target: &str) -> Result<Metadata, PolicyError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--all-features"])
        .args(["--filter-platform", target])
        .arg("--manifest-path")
        .arg(manifest)
        .output()
        .map_err(PolicyError::Run)?;
    if !output.status.success() {
        return Err(PolicyError::Cargo {
            manifest: manifest.to_owned(),
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    serde_json::from_slice(&output.stdout).map_err(PolicyError::Metadata)
}
