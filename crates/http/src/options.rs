//! The options of a publisher's connections.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nephoscope_plugin::{HumanDuration, OptionsError, Secret};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

/// Headers that are set by the client or the publisher.
const RESERVED: [&str; 9] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "user-agent",
];

/// The HTTP options of a publisher.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpOptions {
    /// TLS options, for `https:` URLs.
    pub tls: TlsOptions,
    /// Basic authentication. Excludes `bearer`.
    pub basic: Option<BasicAuth>,
    /// A token for `Authorization: Bearer`. Excludes `basic`.
    pub bearer: Option<Secret>,
    /// Additional headers of each request.
    pub headers: BTreeMap<String, Secret>,
    /// Timeout for connecting, including TLS. Default: 5s.
    pub connect_timeout: Option<HumanDuration>,
    /// Timeout for a request with its response. Default: 10s.
    pub timeout: Option<HumanDuration>,
}

/// A user for basic authentication.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Secret,
}

/// Trusted certificates, and the client certificate.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsOptions {
    /// File with the certificates (PEM) that are trusted. Default: those of the system.
    pub ca: Option<PathBuf>,
    /// File with the client certificate (PEM). Requires `key`.
    pub certificate: Option<PathBuf>,
    /// File with the private key (PEM) of `certificate`.
    pub key: Option<PathBuf>,
}

impl HttpOptions {
    /// Returns the headers of each request.
    ///
    /// # Errors
    ///
    /// Returns the first invalid option.
    pub(crate) fn header_map(&self) -> Result<HeaderMap, OptionsError> {
        if self.basic.is_some() && self.bearer.is_some() {
            return Err(invalid(
                "bearer",
                "`basic` is also set: only one of them can be used",
            ));
        }
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let path = format!("headers.{name}");
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(invalid(&path, "the publisher sets this header itself"));
            }
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| invalid(&path, "not a valid header name"))?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
                invalid(
                    &path,
                    "the value contains characters that are invalid in a header",
                )
            })?;
            value.set_sensitive(true);
            map.insert(name, value);
        }
        if let Some(token) = &self.bearer {
            HeaderValue::from_str(token.expose()).map_err(|_| {
                invalid(
                    "bearer",
                    "the token contains characters that are invalid in a header",
                )
            })?;
        }
        Ok(map)
    }
}

/// Creates an error for an option.
pub(crate) fn invalid(path: &str, message: impl Into<String>) -> OptionsError {
    OptionsError::new(path, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(options: serde_json::Value) -> String {
        let options: HttpOptions = serde_json::from_value(options).unwrap();
        options.header_map().unwrap_err().to_string()
    }

    #[test]
    fn conflicting_and_invalid_options_are_rejected() {
        assert_eq!(
            error(json!({"basic": {"user": "u", "password": "p"}, "bearer": "t"})),
            "option `bearer`: `basic` is also set: only one of them can be used"
        );
        assert_eq!(
            error(json!({"headers": {"Content-Type": "x"}})),
            "option `headers.Content-Type`: the publisher sets this header itself"
        );
        assert_eq!(
            error(json!({"headers": {"a b": "x"}})),
            "option `headers.a b`: not a valid header name"
        );
        let split = error(json!({"headers": {"X-Tenant": "canary\r\nHost: other"}}));
        assert_eq!(
            split,
            "option `headers.X-Tenant`: the value contains characters that are invalid in a header"
        );
        assert!(error(json!({"bearer": "a\nb"})).starts_with("option `bearer`"));
    }
}
