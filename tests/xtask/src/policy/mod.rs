//! Checks dependencies by the rules of `deny.toml`: licences, banned crates, wildcards, sources.
//!
//! It implements the part of cargo-deny's rules that needs neither a network nor a long build. cargo-deny checks advisories
//! and the texts of licence files.

mod packages;
mod rules;

use std::path::{Path, PathBuf};

pub(crate) use packages::{Package, Packages};
pub(crate) use rules::Rules;

/// An error of the check; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyError {
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("understand {}", path.display())]
    Rules {
        path: PathBuf,
        #[source]
        source: toml::de::Error,
    },
    #[error("parse the licence `{licence}` in {}", path.display())]
    Licence {
        path: PathBuf,
        licence: String,
        #[source]
        source: spdx::ParseError,
    },
    #[error("run cargo metadata")]
    Run(#[source] std::io::Error),
    #[error("list the packages of {}: {reason}", manifest.display())]
    Cargo { manifest: PathBuf, reason: String },
    #[error("parse the output of cargo metadata")]
    Metadata(#[source] serde_json::Error),
}

/// Returns the violations of the rules in these workspaces, a line each.
pub(crate) fn violations(rules: &Path, manifests: &[PathBuf]) -> Result<Vec<String>, PolicyError> {
    let rules = Rules::read(rules)?;
    let mut found = Vec::new();
    for manifest in manifests {
        let packages = Packages::of(manifest, &rules.targets)?;
        for broken in packages.iter().flat_map(|package| rules.broken_by(package)) {
            if !found.contains(&broken) {
                found.push(broken);
            }
        }
    }
    Ok(found)
}
