//! The options of a plugin family or publisher: schema and parsing.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

/// The schema of options, derived from the type that they are parsed into.
#[derive(Debug, Clone, Copy)]
pub struct OptionsSpec {
    schema: fn() -> Schema,
}

impl OptionsSpec {
    /// Options of type `T`. Its doc comments become the reference, and fields of type [`crate::Secret`] are redacted.
    pub const fn of<T: JsonSchema>() -> Self {
        Self {
            schema: || SchemaGenerator::default().into_root_schema_for::<T>(),
        }
    }

    /// The JSON schema of the options.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }
}

/// Options that do not match their type.
#[derive(Debug, thiserror::Error)]
#[error("option `{path}`: {message}")]
#[non_exhaustive]
pub struct OptionsError {
    /// The family of the options, if it is not the plugin's own.
    pub family: Option<&'static str>,
    /// The option, as a path of keys (`.` for all options).
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl OptionsError {
    /// An error in an option of the plugin's own family, or in the URL of a publisher (`url`). The option is a path of keys
    /// such as `tokens[0].name`; `.` for all options.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            family: None,
            path: path.into(),
            message: message.into(),
        }
    }

    /// The same error for an option nested in `path`, such as `services.nova`.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        self.path = match self.path.as_str() {
            "" | "." => path.to_owned(),
            inner => format!("{path}.{inner}"),
        };
        self
    }
}

/// Parses options. The configuration has already been checked against the schema, with file, line and column; only rules
/// that a schema cannot express fail here.
pub(crate) fn read<T: DeserializeOwned>(options: &serde_json::Value) -> Result<T, OptionsError> {
    let empty = serde_json::Value::Object(serde_json::Map::new());
    let options = if options.is_null() { &empty } else { options };
    serde_path_to_error::deserialize(options)
        .map_err(|error| OptionsError::new(error.path().to_string(), error.inner().to_string()))
}
