//! The options of a plugin family or publisher: how they are described and read.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

/// Describes options by the type that they are read into.
#[derive(Debug, Clone, Copy)]
pub struct OptionsSpec {
    schema: fn() -> Schema,
}

impl OptionsSpec {
    /// Options of type `T`; its doc comments become the reference, and fields of type [`crate::Secret`] are hidden.
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

/// Options that do not fit their type.
#[derive(Debug, thiserror::Error)]
#[error("option `{path}`: {message}")]
#[non_exhaustive]
pub struct OptionsError {
    /// The family whose options these are, if it is not the plugin's own.
    pub family: Option<&'static str>,
    /// Which option, as a path of keys (`.` for the options as a whole).
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl OptionsError {
    /// What is wrong with an option of the plugin's own family, or with the URL of a publisher (`url`). The option is a path of
    /// keys, as in `tokens[0].name`; `.` for the options as a whole.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            family: None,
            path: path.into(),
            message: message.into(),
        }
    }

    /// The same of an option that is part of others: `path` is where these are, as in `services.nova`.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        self.path = match self.path.as_str() {
            "" | "." => path.to_owned(),
            inner => format!("{path}.{inner}"),
        };
        self
    }
}

/// Reads options into their type. The configuration has been checked against the schema before, with
/// file, line and column; what fails here are rules that a schema cannot say.
pub(crate) fn read<T: DeserializeOwned>(options: &serde_json::Value) -> Result<T, OptionsError> {
    let empty = serde_json::Value::Object(serde_json::Map::new());
    let options = if options.is_null() { &empty } else { options };
    serde_path_to_error::deserialize(options)
        .map_err(|error| OptionsError::new(error.path().to_string(), error.inner().to_string()))
}
