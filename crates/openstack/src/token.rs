//! A token: its catalog and its lifetime.

use std::time::Duration;

use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::time::Instant;

use crate::catalog::{Catalog, CatalogService};

/// A token is renewed this long before it expires, or a quarter of its lifetime if that is shorter.
const MARGIN: Duration = Duration::from_secs(300);

/// The assumed lifetime of a token if Keystone does not report it.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);

/// The longest use of a token, whatever lifetime Keystone reports.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A token and its catalog.
#[derive(Debug)]
pub(crate) struct Token {
    /// For `X-Auth-Token`; marked sensitive, so that debug output hides it.
    pub(crate) header: HeaderValue,
    pub(crate) catalog: Catalog,
    /// The project of its scope.
    pub(crate) project_id: Option<String>,
    pub(crate) obtained: Instant,
    pub(crate) lifetime: Duration,
}

/// The body of Keystone's answer.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenDocument {
    token: TokenBody,
}

#[derive(Debug, Deserialize)]
struct TokenBody {
    issued_at: Option<String>,
    expires_at: Option<String>,
    project: Option<Project>,
    #[serde(default)]
    catalog: Vec<CatalogService>,
}

#[derive(Debug, Deserialize)]
struct Project {
    id: String,
}

impl Token {
    /// Creates a token from the answer to a request sent at `sent`.
    pub(crate) fn new(mut header: HeaderValue, document: TokenDocument, sent: Instant) -> Self {
        header.set_sensitive(true);
        let body = document.token;
        Self {
            header,
            lifetime: body.lifetime(),
            catalog: Catalog::new(body.catalog),
            project_id: body.project.map(|project| project.id),
            obtained: sent,
        }
    }

    /// Whether the token should be renewed.
    pub(crate) fn is_due(&self) -> bool {
        self.obtained.elapsed() + MARGIN.min(self.lifetime / 4) >= self.lifetime
    }

    /// Whether services still accept it.
    pub(crate) fn is_valid(&self) -> bool {
        self.obtained.elapsed() < self.lifetime
    }
}

impl TokenBody {
    /// Returns the lifetime by Keystone's own clock, so that this machine's clock does not matter.
    fn lifetime(&self) -> Duration {
        let time = |text: &Option<String>| text.as_deref()?.parse::<jiff::Timestamp>().ok();
        time(&self.expires_at)
            .zip(time(&self.issued_at))
            .and_then(|(expires, issued)| Duration::try_from(expires.duration_since(issued)).ok())
            .unwrap_or(UNKNOWN_LIFETIME)
            .min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(issued: &str, expires: &str) -> Token {
        let document = serde_json::json!({ "token": { "issued_at": issued, "expires_at": expires } });
        Token::new(
            HeaderValue::from_static("canary"),
            serde_json::from_value(document).unwrap(),
            Instant::now(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_before_its_end() {
        let token = token("2026-01-01T00:00:00.000000Z", "2026-01-01T01:00:00.000000Z");
        tokio::time::advance(Duration::from_secs(3299)).await;
        assert!(!token.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(token.is_due() && token.is_valid());
        tokio::time::advance(Duration::from_secs(300)).await;
        assert!(!token.is_valid());
    }

    #[tokio::test(start_paused = true)]
    async fn odd_times_are_handled() {
        assert_eq!(
            token("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z").lifetime,
            Duration::from_secs(60)
        );
        assert_eq!(
            token("yesterday", "2026-01-01T00:01:00Z").lifetime,
            UNKNOWN_LIFETIME
        );
        assert_eq!(
            token("2026-01-01T00:01:00Z", "2026-01-01T00:00:00Z").lifetime,
            UNKNOWN_LIFETIME
        );
        assert_eq!(
            token("2026-01-01T00:00:00Z", "9999-01-01T00:00:00Z").lifetime,
            LONGEST
        );
        let token = token("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        assert!(token.is_due() && !format!("{token:?}").contains("canary"));
    }
}
