//! The process environment: variables, and the user's directories.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The relevant variables, as they were when the plugins were loaded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the variables that start with `OS_`, and those that locate the user's files.
    pub(crate) fn of_this_process() -> Self {
        let known = |name: &str| name.starts_with("OS_") || name == "HOME" || name == "XDG_CONFIG_HOME";
        Self::of(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(|(name, _)| known(name)),
        )
    }

    pub(crate) fn of<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables = variables.into_iter();
        Self(
            variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// Returns the value of a variable if it is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Returns the paths where clouds.yaml is searched, in order.
    pub(crate) fn cloud_files(&self) -> Vec<PathBuf> {
        if let Some(file) = self.get("OS_CLIENT_CONFIG_FILE") {
            return vec![file.into()];
        }
        let user = self
            .get("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| self.get("HOME").map(|home| PathBuf::from(home).join(".config")));
        let folders = [
            Some(PathBuf::from(".")),
            user.map(|user| user.join("openstack")),
            Some("/etc/openstack".into()),
        ];
        folders
            .into_iter()
            .flatten()
            .map(|folder| folder.join("clouds.yaml"))
            .collect()
    }
}
