//! Tries what every plugin of a family promises.

mod check;
mod declarations;
mod listing;
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
/// When a promise is not kept; all that were broken are named.
pub async fn conformance(family: &str) {
    Conformance::of(family).check().await;
}

/// The check of a family: what each of its discoveries and pollsters promises.
///
/// - Names, descriptions, units and declared calls are well formed; default discoveries exist.
/// - Options have a schema that names every key, refuses unknown ones and needs none.
/// - Listings give the same keys each time, none twice.
/// - Polls report each resource once, with declared meters and numbers, and unique ids; a resource that
///   the family does not know fails alone.
/// - Listings and polls end when they are cancelled.
/// - No secret option shows in any output.
/// - The definitions that it makes of its options and files have no problem, and promise the same.
///
/// What the family calls must answer each time that it is called.
#[must_use = "nothing is checked until `check`"]
pub struct Conformance {
    catalog: Option<Catalog>,
    family: String,
    options: Value,
    options_of: Vec<(String, Value)>,
    listings: Vec<String>,
    resources: Vec<String>,
    elsewhere: Vec<String>,
    unitless: Vec<String>,
}

impl Conformance {
    /// The check of the family of this name, with its default options.
    pub fn of(family: &str) -> Self {
        Self {
            catalog: None,
            family: family.to_owned(),
            options: Value::Null,
            options_of: Vec::new(),
            listings: Vec::new(),
            resources: Vec::new(),
            elsewhere: Vec::new(),
            unitless: Vec::new(),
        }
    }

    /// Uses these options.
    pub fn options(mut self, options: Value) -> Self {
        self.options = options;
        self
    }

    /// Uses these options of another family, which this one uses.
    pub fn options_of(mut self, family: &str, options: Value) -> Self {
        self.options_of.push((family.to_owned(), options));
        self
    }

    /// Lists this URL, where the default discoveries of the pollsters (and the bare name of a discovery that
    /// none of them uses) are not what to try.
    pub fn listing(mut self, url: &str) -> Self {
        self.listings.push(url.to_owned());
        self
    }

    /// Polls these resources too, as if they stood in a `resources:` list.
    pub fn resources<T: Into<String>>(mut self, keys: impl IntoIterator<Item = T>) -> Self {
        self.resources.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Default discoveries that other crates register.
    pub fn elsewhere<T: Into<String>>(mut self, discoveries: impl IntoIterator<Item = T>) -> Self {
        self.elsewhere.extend(discoveries.into_iter().map(Into::into));
        self
    }

    /// Meters whose unit is empty on purpose.
    pub fn unitless<T: Into<String>>(mut self, meters: impl IntoIterator<Item = T>) -> Self {
        self.unitless.extend(meters.into_iter().map(Into::into));
        self
    }

    /// Runs the check.
    ///
    /// # Panics
    ///
    /// When a promise is not kept; all that were broken are named.
    pub async fn check(self) {
        let family = self.family.clone();
        let findings = self.findings().await;
        assert!(
            findings.is_empty(),
            "the family `{family}` does not conform:\n- {}",
            findings.join("\n- ")
        );
    }

    /// Runs the check and gives what it found.
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

    /// Takes the family from this catalog.
    pub fn in_catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = Some(catalog);
        self
    }
}

#[cfg(test)]
mod tests;
