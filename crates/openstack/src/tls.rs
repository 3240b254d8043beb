//! TLS versions.

use std::borrow::Cow;

use nephoscope_plugin::OptionsError;
use reqwest::tls::Version;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Unexpected};

/// A TLS version; older versions are not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// `1.2`.
    V1_2,
    /// `1.3`.
    V1_3,
}

/// The allowed TLS versions; `None`: no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TlsVersions {
    pub(crate) min: Option<TlsVersion>,
    pub(crate) max: Option<TlsVersion>,
}

impl TlsVersions {
    /// Returns these bounds, with the others' where these are not set.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            min: self.min.or(others.min),
            max: self.max.or(others.max),
        }
    }

    /// # Errors
    ///
    /// The bounds exclude all versions.
    pub(crate) fn check(self) -> Result<(), OptionsError> {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min > max => Err(OptionsError::new(
                "tls_min_version",
                "higher than `tls_max_version`: no version is allowed",
            )),
            _ => Ok(()),
        }
    }
}

impl From<TlsVersion> for Version {
    fn from(version: TlsVersion) -> Self {
        match version {
            TlsVersion::V1_2 => Self::TLS_1_2,
            TlsVersion::V1_3 => Self::TLS_1_3,
        }
    }
}

impl<'de> Deserialize<'de> for TlsVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        // Both are parsed from the same digits, and so are bitwise equal.
        if number.to_bits() == 1.2_f64.to_bits() {
            Ok(Self::V1_2)
        } else if number.to_bits() == 1.3_f64.to_bits() {
            Ok(Self::V1_3)
        } else {
            Err(de::Error::invalid_value(Unexpected::Float(number), &"1.2 or 1.3"))
        }
    }
}

impl JsonSchema for TlsVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TlsVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": [1.2, 1.3] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_version_is_one_of_the_two_numbers() {
        let read = |value| serde_json::from_value::<TlsVersion>(value).ok();
        assert_eq!(read(json!(1.2)), Some(TlsVersion::V1_2));
        assert_eq!(read(json!(1.3)), Some(TlsVersion::V1_3));
        for wrong in [json!(1.1), json!(1), json!(2), json!("1.2"), json!(null)] {
            assert_eq!(read(wrong), None);
        }
    }

    #[test]
    fn bounds_that_allow_no_version_are_rejected() {
        let check = |min, max| TlsVersions { min, max }.check().is_ok();
        let (older, newer) = (Some(TlsVersion::V1_2), Some(TlsVersion::V1_3));
        assert!(check(older, newer) && check(newer, newer) && check(None, older) && check(newer, None));
        assert!(!check(newer, older));
    }
}
