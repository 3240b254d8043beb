//! What an operator may say about the connections of a publisher.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nephoscope_plugin::{HumanDuration, OptionsError, Secret};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

/// Headers that the client or the publisher sets.
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

/// How a publisher connects over HTTP.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpOptions {
    /// TLS, for URLs that begin with `https:`.
    pub tls: TlsOptions,
    /// A user and a password. Not together with `bearer`.
    pub basic: Option<BasicAuth>,
    /// A token that is sent as `Authorization: Bearer`. Not together with `basic`.
    pub bearer: Option<Secret>,
    /// Further headers of each request.
    pub headers: BTreeMap<String, Secret>,
    /// How long a connection may take to come about, TLS included; 5s unless set.
    pub connect_timeout: Option<HumanDuration>,
    /// How long a request may take, its answer included; 10s unless set.
    pub timeout: Option<HumanDuration>,
}

/// A user of the other side.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Secret,
}

/// Which certificates are trusted, and which one is shown.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsOptions {
    /// The certificates (PEM) that the other side's certificate is checked against; the system's unless set.
    pub ca: Option<PathBuf>,
    /// The certificate (PEM) that the agent shows. It needs `key`.
    pub certificate: Option<PathBuf>,
    /// The key (PEM) of `certificate`.
    pub key: Option<PathBuf>,
}

impl HttpOptions {
    /// The headers of each request.
    ///
    /// # Errors
    ///
    /// The first option that cannot be used.
    pub(crate) fn header_map(&self) -> Result<HeaderMap, OptionsError> {
        if self.basic.is_some() && self.bearer.is_some() {
            return Err(wrong(
                "bearer",
                "`basic` is set as well: only one of them can be used",
            ));
        }
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let path = format!("headers.{name}");
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(wrong(&path, "the publisher sets this header itself"));
            }
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong(&path, "this is not the name of a header"))?;
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| wrong(&path, "the value has characters that a header cannot have"))?;
            value.set_sensitive(true);
            map.insert(name, value);
        }
        if let Some(token) = &self.bearer {
            HeaderValue::from_str(token.expose())
                .map_err(|_| wrong("bearer", "the token has characters that a header cannot have"))?;
        }
        Ok(map)
    }
}

/// An option that cannot be used.
pub(crate) fn wrong(path: &str, message: impl Into<String>) -> OptionsError {
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
    fn options_that_contradict_or_cannot_be_sent_are_refused() {
        assert_eq!(
            error(json!({"basic": {"user": "u", "password": "p"}, "bearer": "t"})),
            "option `bearer`: `basic` is set as well: only one of them can be used"
        );
        assert_eq!(
            error(json!({"headers": {"Content-Type": "x"}})),
            "option `headers.Content-Type`: the publisher sets this header itself"
        );
        assert_eq!(
            error(json!({"headers": {"a b": "x"}})),
            "option `headers.a b`: this is not the name of a header"
        );
        let split = error(json!({"headers": {"X-Tenant": "canary\r\nHost: other"}}));
        assert_eq!(
            split,
            "option `headers.X-Tenant`: the value has characters that a header cannot have"
        );
        assert!(error(json!({"bearer": "a\nb"})).starts_with("option `bearer`"));
    }
}
