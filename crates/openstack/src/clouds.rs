//! The files clouds.yaml and secure.yaml, read as OpenStack's tools read them.

use std::io::Read;
use std::path::{Path, PathBuf};

use nephoscope_plugin::Secret;
use serde::{Deserialize, Deserializer};
use serde_yaml::{Mapping, Value};

/// The largest clouds.yaml; a larger file is not one.
const MAX_FILE: u64 = 1024 * 1024;

/// The settings of a cloud in clouds.yaml that the session uses; other keys are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cloud {
    pub(crate) auth_type: Option<String>,
    pub(crate) auth: CloudAuth,
    pub(crate) region_name: Option<String>,
    pub(crate) interface: Option<String>,
    pub(crate) cacert: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) verify: Option<bool>,
}

/// The section `auth` of a cloud, with keystoneauth's names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CloudAuth {
    pub(crate) auth_url: Option<String>,
    #[serde(deserialize_with = "scope")]
    pub(crate) system_scope: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) domain_id: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) domain_name: Option<String>,
    #[serde(alias = "tenant_id", deserialize_with = "text")]
    pub(crate) project_id: Option<String>,
    #[serde(alias = "tenant_name", deserialize_with = "text")]
    pub(crate) project_name: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) project_domain_id: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) project_domain_name: Option<String>,
    pub(crate) trust_id: Option<String>,
    pub(crate) default_domain_id: Option<String>,
    #[serde(alias = "default_domain")]
    pub(crate) default_domain_name: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) user_id: Option<String>,
    #[serde(alias = "user_name", deserialize_with = "text")]
    pub(crate) username: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) user_domain_id: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) user_domain_name: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub(crate) password: Option<Secret>,
    #[serde(deserialize_with = "text")]
    pub(crate) application_credential_id: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) application_credential_name: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub(crate) application_credential_secret: Option<Secret>,
    pub(crate) token: Option<Secret>,
}

/// Why a cloud was not found in the files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudsError {
    /// The file is in none of the places.
    #[error("no clouds.yaml is at {}", list(.0))]
    NoFile(Vec<PathBuf>),
    /// The file exists and cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The file is not YAML of the expected form. (The YAML error may contain a secret: only its location is reported.)
    #[error("{} does not have the form of a clouds.yaml{place}", path.display())]
    Form { path: PathBuf, place: String },
    /// The file does not have the cloud.
    #[error("{} has no cloud `{cloud}`", path.display())]
    NoCloud { path: PathBuf, cloud: String },
}

fn list(places: &[PathBuf]) -> String {
    let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    places.join(", ")
}

/// Reads the cloud of this name from the first file that exists, with the secrets of the secure.yaml in the same
/// directory.
pub(crate) fn read(files: &[PathBuf], cloud: &str) -> Result<Cloud, CloudsError> {
    let path = files
        .iter()
        .find(|path| path.exists())
        .ok_or_else(|| CloudsError::NoFile(files.to_vec()))?;
    let mut entry = entry(path, cloud)?.ok_or_else(|| CloudsError::NoCloud {
        path: path.clone(),
        cloud: cloud.to_owned(),
    })?;
    let secure = path.with_file_name("secure.yaml");
    if secure.exists()
        && let Some(secrets) = self::entry(&secure, cloud)?
    {
        add(&mut entry, secrets);
    }
    serde_yaml::from_value(Value::Mapping(entry)).map_err(|error| form(path, &error))
}

/// Returns a file's entry for a cloud.
fn entry(path: &Path, cloud: &str) -> Result<Option<Mapping>, CloudsError> {
    let text = text_of(path).map_err(|source| CloudsError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let mut document: Value = serde_yaml::from_str(&text).map_err(|error| form(path, &error))?;
    document.apply_merge().map_err(|error| form(path, &error))?;
    match document.get("clouds").and_then(|clouds| clouds.get(cloud)) {
        Some(Value::Mapping(entry)) => Ok(Some(entry.clone())),
        Some(_) => Err(CloudsError::Form {
            path: path.to_owned(),
            place: format!(" at `clouds.{cloud}`"),
        }),
        None => Ok(None),
    }
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() || found.len() > MAX_FILE {
        return Err(std::io::Error::other(
            "not a clouds.yaml: no regular file, or larger than 1 MiB",
        ));
    }
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(MAX_FILE)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Merges `more` into `all`, level by level; `more` wins.
fn add(all: &mut Mapping, more: Mapping) {
    for (key, value) in more {
        match (all.get_mut(&key), value) {
            (Some(Value::Mapping(all)), Value::Mapping(more)) => add(all, more),
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
}

fn form(path: &Path, error: &serde_yaml::Error) -> CloudsError {
    let place = error
        .location()
        .map(|place| format!(", line {}", place.line()))
        .unwrap_or_default();
    CloudsError::Form {
        path: path.to_owned(),
        place,
    }
}

/// A name or id, which YAML may read as a number.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) => return Err(serde::de::Error::custom("expected a string")),
    })
}

/// A secret, which YAML may read as a number.
fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    text(from).map(|text| text.map(Secret::new))
}

/// `all` or a boolean: both are in use.
fn scope<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(from)? {
        Some(Value::Bool(true)) => Some("all".to_owned()),
        Some(Value::String(text)) => Some(text),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOUDS: &str = "
defaults: &defaults
  region_name: RegionOne
clouds:
  prod:
    <<: *defaults
    auth:
      auth_url: https://keystone.example/v3
      username: nephoscope
      project_name: 42
    verify: false
  broken: 7
";

    fn folder(secure: Option<&str>) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clouds.yaml");
        std::fs::write(&path, CLOUDS).unwrap();
        if let Some(secure) = secure {
            std::fs::write(folder.path().join("secure.yaml"), secure).unwrap();
        }
        (folder, vec!["/nowhere/clouds.yaml".into(), path])
    }

    #[test]
    fn a_cloud_is_read_with_its_merge_keys_and_its_secure_yaml() {
        let (_folder, files) = folder(Some("clouds: {prod: {auth: {password: 1234}}}"));
        let cloud = read(&files, "prod").unwrap();
        assert_eq!(cloud.region_name.as_deref(), Some("RegionOne"));
        assert_eq!(cloud.auth.project_name.as_deref(), Some("42"));
        assert_eq!(cloud.auth.password.as_ref().map(Secret::expose), Some("1234"));
        assert_eq!(cloud.verify, Some(false));
        assert!(!format!("{cloud:?}").contains("1234"));
    }

    #[test]
    fn errors_contain_nothing_of_the_contents() {
        let (folder, files) = folder(Some("clouds: {prod: {auth: {password: [canary]}}}"));
        let mut text = String::new();
        for (files, cloud) in [
            (&files[..1], "prod"),
            (&files[..], "prod"),
            (&files[..], "test"),
            (&files[..], "broken"),
        ] {
            text += &format!("{}\n", read(files, cloud).unwrap_err());
        }
        let text = text.replace(folder.path().to_str().unwrap(), "FOLDER");
        insta::assert_snapshot!(text, @r"
        no clouds.yaml is at /nowhere/clouds.yaml
        FOLDER/clouds.yaml does not have the form of a clouds.yaml
        FOLDER/clouds.yaml has no cloud `test`
        FOLDER/clouds.yaml does not have the form of a clouds.yaml at `clouds.broken`
        ");
    }
}
