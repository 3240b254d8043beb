//! The API versions of a service.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

/// How long negotiated versions are valid: a service may be upgraded while the agent runs.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// A microversion, for example 3.64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Microversion(pub u16, pub u16);

impl fmt::Display for Microversion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.0, self.1)
    }
}

impl Microversion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// The result of version negotiation with a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Negotiated {
    /// `None`: the service has no microversions.
    pub(crate) version: Option<Microversion>,
    at: Instant,
}

impl Negotiated {
    pub(crate) fn is_fresh(&self) -> bool {
        self.at.elapsed() < MAX_AGE
    }

    /// Selects the latest offered version that is not newer than the wanted one.
    ///
    /// # Errors
    ///
    /// The offered range, if all of it is newer than the wanted version.
    pub(crate) fn of(document: &VersionDocument, wanted: Microversion) -> Result<Self, String> {
        let offered = document
            .entries()
            .into_iter()
            .filter_map(|entry| Some((entry.min()?, entry.max()?)))
            .find(|(_, max)| max.0 == wanted.0);
        let version = match offered {
            None => None,
            Some((min, max)) if wanted < min => return Err(format!("{min} to {max}")),
            Some((_, max)) => Some(wanted.min(max)),
        };
        Ok(Self {
            version,
            at: Instant::now(),
        })
    }
}

/// The document at the root of an API, in the forms that services use.
#[derive(Debug, Deserialize)]
pub(crate) struct VersionDocument {
    version: Option<VersionEntry>,
    versions: Option<Versions>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Versions {
    List(Vec<VersionEntry>),
    Values { values: Vec<VersionEntry> },
}

#[derive(Debug, Deserialize)]
struct VersionEntry {
    #[serde(default)]
    min_version: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    max_version: Option<String>,
}

impl VersionDocument {
    fn entries(&self) -> Vec<&VersionEntry> {
        let more = match &self.versions {
            None => &[][..],
            Some(Versions::List(entries) | Versions::Values { values: entries }) => entries,
        };
        self.version.iter().chain(more).collect()
    }
}

impl VersionEntry {
    fn min(&self) -> Option<Microversion> {
        Microversion::parse(self.min_version.as_deref()?)
    }

    fn max(&self) -> Option<Microversion> {
        let max = self.max_version.as_deref().filter(|text| !text.is_empty());
        Microversion::parse(max.or(self.version.as_deref())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn negotiated(document: serde_json::Value, wanted: Microversion) -> Result<Option<String>, String> {
        let document = serde_json::from_value(document).unwrap();
        Negotiated::of(&document, wanted).map(|found| found.version.map(|version| version.to_string()))
    }

    #[tokio::test]
    async fn the_latest_version_that_both_support_is_negotiated() {
        let cinder = json!({ "versions": [
            { "id": "v3.0", "status": "CURRENT", "version": "3.50", "min_version": "3.0" },
        ] });
        assert_eq!(
            negotiated(cinder.clone(), Microversion(3, 64)),
            Ok(Some("3.50".into()))
        );
        assert_eq!(negotiated(cinder, Microversion(3, 7)), Ok(Some("3.7".into())));
        let nova = json!({ "version": { "id": "v2.1", "version": "2.96", "min_version": "2.1" } });
        assert_eq!(
            negotiated(nova.clone(), Microversion(2, 1)),
            Ok(Some("2.1".into()))
        );
        assert_eq!(negotiated(nova, Microversion(2, 0)), Err("2.1 to 2.96".into()));
        let old = json!({ "versions": { "values": [{ "id": "v2.0", "version": "", "min_version": "" }] } });
        assert_eq!(negotiated(old, Microversion(2, 1)), Ok(None));
        assert_eq!(negotiated(json!({}), Microversion(2, 1)), Ok(None));
    }
}
