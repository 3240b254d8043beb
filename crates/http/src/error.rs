//! Errors of requests without a response.

use nephoscope_plugin::PublishError;

/// The error of a request without a response. Its text does not contain the URL, which may contain a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client cannot be created.
    #[error("cannot create an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The URL or the headers are invalid.
    #[error("cannot build the request")]
    Request(#[source] reqwest::Error),
    /// The connection failed.
    #[error("cannot connect")]
    Connect(#[source] reqwest::Error),
    /// The request timed out.
    #[error("request timed out")]
    Timeout(#[source] reqwest::Error),
    /// The connection was closed before the end of the response.
    #[error("connection closed before the end of the response")]
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

/// The batch may be retried, except for an invalid request.
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
