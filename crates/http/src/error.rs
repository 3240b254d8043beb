//! Why a request had no answer.

use nephoscope_plugin::PublishError;

/// Why a request had no answer. No text of it shows the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client cannot be made.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The request cannot be made: its URL or its headers.
    #[error("cannot make the request")]
    Request(#[source] reqwest::Error),
    /// No connection came about.
    #[error("cannot connect")]
    Connect(#[source] reqwest::Error),
    /// No answer came in time.
    #[error("no answer came in time")]
    Timeout(#[source] reqwest::Error),
    /// The connection ended before the answer did.
    #[error("the connection ended before the answer did")]
    Broken(#[source] reqwest::Error),
}

impl HttpError {
    pub(crate) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_builder() {
            Self::Request(error)
        } else if error.is_timeout() {
            Self::Timeout(error)
        } else if error.is_connect() {
            Self::Connect(error)
        } else {
            Self::Broken(error)
        }
    }
}

/// The batch may be tried again, but for a request that cannot be made.
impl From<HttpError> for PublishError {
    fn from(error: HttpError) -> Self {
        let message = error.to_string();
        match error {
            HttpError::Request(_) => Self::rejected(message),
            HttpError::Client(source)
            | HttpError::Connect(source)
            | HttpError::Timeout(source)
            | HttpError::Broken(source) => Self::retry_because(message, source),
        }
    }
}
