//! The rules of `deny.toml` that are checked here.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use super::{Package, PolicyError};

/// The allowed registry.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The rules.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The supported systems.
    pub(crate) targets: Vec<String>,
    licences: Vec<Licensee>,
    /// Further licences of single packages.
    exceptions: BTreeMap<String, Vec<Licensee>>,
    /// The reason of each banned crate.
    banned: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct File {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

impl Rules {
    /// Reads the rules.
    pub(crate) fn read(path: &Path) -> Result<Self, PolicyError> {
        let text = std::fs::read_to_string(path).map_err(|source| PolicyError::Read {
            path: path.to_owned(),
            source,
        })?;
        let file: File = toml::from_str(&text).map_err(|source| PolicyError::Rules {
            path: path.to_owned(),
            source,
        })?;
        let parse = |licences: Vec<String>| -> Result<Vec<Licensee>, PolicyError> {
            let parsed = licences.into_iter().map(|licence| {
                Licensee::parse(&licence).map_err(|source| PolicyError::Licence {
                    path: path.to_owned(),
                    licence,
                    source,
                })
            });
            parsed.collect()
        };
        let exceptions = file.licenses.exceptions.into_iter();
        let banned = file.bans.deny.into_iter();
        Ok(Self {
            targets: file.graph.targets,
            licences: parse(file.licenses.allow)?,
            exceptions: exceptions
                .map(|exception| Ok((exception.name, parse(exception.allow)?)))
                .collect::<Result<_, PolicyError>>()?,
            banned: banned.map(|banned| (banned.name, banned.reason)).collect(),
        })
    }

    /// Returns the rules that a package violates, a line each.
    pub(crate) fn broken_by(&self, package: &Package) -> Vec<String> {
        let mut broken = Vec::new();
        let mut add = |what: String| broken.push(format!("{} {}: {what}", package.name, package.version));
        if let Some(reason) = self.banned.get(&package.name) {
            add(format!("is banned: {reason}"));
        }
        match &package.source {
            None => {
                for dependency in &package.dependencies {
                    if dependency.req == "*" && dependency.path.is_none() {
                        add(format!(
                            "does not restrict the version of {}: name one",
                            dependency.name
                        ));
                    }
                }
            }
            Some(source) if source != REGISTRY => add(format!("its source is {source}, not crates.io")),
            Some(_) => {}
        }
        // Older packages have a slash instead of OR.
        match package
            .license
            .as_deref()
            .map(|text| Expression::parse_mode(text, ParseMode::LAX))
        {
            None => add("names no licence".to_owned()),
            Some(Err(error)) => add(format!("invalid licence: {}", error.reason)),
            Some(Ok(licence)) => {
                let excepted = self.exceptions.get(&package.name).map_or(&[][..], Vec::as_slice);
                let allowed = licence.evaluate(|wanted| {
                    let mut ours = self.licences.iter().chain(excepted);
                    ours.any(|ours| ours.satisfies(wanted))
                });
                if !allowed {
                    add(format!("licence `{licence}` is not allowed by deny.toml"));
                }
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn broken(package: serde_json::Value) -> Vec<String> {
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deny.toml");
        let mut whole = json!({
            "id": "x", "name": "x", "version": "1.0.0", "source": REGISTRY, "license": "MIT", "dependencies": []
        });
        for (key, value) in package.as_object().unwrap() {
            whole[key] = value.clone();
        }
        Rules::read(&rules)
            .unwrap()
            .broken_by(&serde_json::from_value(whole).unwrap())
    }

    #[test]
    fn permissive_licences_pass() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
        ] {
            assert_eq!(
                broken(json!({ "license": licence })),
                Vec::<String>::new(),
                "{licence}"
            );
        }
    }

    #[test]
    fn each_violation_is_reported() {
        let first = |package| broken(package).join("\n");
        for licence in ["GPL-3.0-only", "MIT AND GPL-2.0", "MPL-2.0"] {
            assert!(
                first(json!({ "license": licence })).contains("is not allowed"),
                "{licence}"
            );
        }
        let excepted = json!({ "name": "mdbook-core", "license": "MPL-2.0" });
        assert_eq!(broken(excepted), Vec::<String>::new());
        assert!(first(json!({ "license": null })).contains("names no licence"));
        assert!(first(json!({ "license": "as you like" })).contains("invalid licence"));
        assert!(first(json!({ "name": "openssl-sys" })).contains("is banned: one TLS stack"));
        assert!(first(json!({ "source": "git+https://example.org/x" })).contains("not crates.io"));
        let wildcard =
            json!({ "source": null, "dependencies": [{ "name": "serde", "req": "*", "path": null }] });
        assert!(first(wildcard).contains("does not restrict the version of serde"));
        let path =
            json!({ "source": null, "dependencies": [{ "name": "near", "req": "*", "path": "/near" }] });
        assert_eq!(broken(path), Vec::<String>::new());
    }
}
