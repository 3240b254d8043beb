//! Conformance checks: the rules that every plugin of a family must follow.

mod check;
mod declarations;
mod discovery;
mod options;
mod poll;
mod secrets;

use serde_json::Value;

use crate::Catalog;
use check::Check;

/// Checks a family with its default options. See [`Conformance`].
///
/// # Panics
///
/// When a rule is violated; the message lists all violations.
pub async fn conformance(family: &str) {
    Conformance::of(family).check().await;
}

/// The conformance check of a family, its discoveries and its pollsters.
///
/// - Names, descriptions, units and declared calls are well-formed; default discoveries exist.
/// - The options have a schema that names every key, reject unknown keys and require none.
/// - Discovery runs return the same keys each time, without duplicates.
/// - Polls report each resource once, with declared meters, numeric values and unique ids; a resource that the family does
///   not know fails without affecting others.
/// - Discovery runs and polls end when they are cancelled.
/// - No secret option appears in any output.
/// - The definitions that the family creates from its options and files have no problems and follow the same rules.
///
/// The services that the family calls must answer each call.
#[must_use = "nothing is checked until `check` is called"]
pub struct Conformance {
    catalog: Option<Catalog>,
    family: String,
    options: Value,
    options_of: Vec<(String, Value)>,
    discovery_urls: Vec<String>,
    resources: Vec<String>,
    external_discoveries: Vec<String>,
    unitless: Vec<String>,
}

impl Conformance {
    /// Checks the family of this name with its default options.
    pub fn of(family: &str) -> Self {
        Self {
            catalog: None,
            family: family.to_owned(),
            options: Value::Null,
            options_of: Vec::new(),
            discovery_urls: Vec::new(),
            resources: Vec::new(),
            external_discoveries: Vec::new(),
            unitless: Vec::new(),
        }
    }

    /// Sets the options.
    pub fn options(mut self, options: Value) -> Self {
        self.options = options;
        self
    }

    /// Sets the options of another family that this one uses.
    pub fn options_of(mut self, family: &str, options: Value) -> Self {
        self.options_of.push((family.to_owned(), options));
        self
    }

    /// Adds a discovery URL to run. Default: the default discoveries of the pollsters, and the bare name of a discovery that
    /// none of them uses.
    pub fn discovery_url(mut self, url: &str) -> Self {
        self.discovery_urls.push(url.to_owned());
        self
    }

    /// Adds resources to poll, as if a `resources:` list named them.
    pub fn resources<T: Into<String>>(mut self, keys: impl IntoIterator<Item = T>) -> Self {
        self.resources.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Adds default discoveries that other crates register.
    pub fn external_discoveries<T: Into<String>>(mut self, discoveries: impl IntoIterator<Item = T>) -> Self {
        self.external_discoveries
            .extend(discoveries.into_iter().map(Into::into));
        self
    }

    /// Adds meters whose unit is intentionally empty.
    pub fn unitless<T: Into<String>>(mut self, meters: impl IntoIterator<Item = T>) -> Self {
        self.unitless.extend(meters.into_iter().map(Into::into));
        self
    }

    /// Runs the check.
    ///
    /// # Panics
    ///
    /// When a rule is violated; the message lists all violations.
    pub async fn check(self) {
        let family = self.family.clone();
        let findings = self.findings().await;
        assert!(
            findings.is_empty(),
            "the family `{family}` does not conform:\n- {}",
            findings.join("\n- ")
        );
    }

    /// Runs the check and returns the violations.
    pub async fn findings(self) -> Vec<String> {
        let catalog = match &self.catalog {
            Some(catalog) => catalog.clone(),
            None => match Catalog::collect() {
                Ok(catalog) => catalog,
                Err(error) => return vec![error.to_string()],
            },
        };
        let mut check = Check::new(self, catalog);
        check.run().await;
        check.findings
    }

    /// Uses the family of this catalog.
    pub fn in_catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = Some(catalog);
        self
    }
}

#[cfg(test)]
mod tests;
