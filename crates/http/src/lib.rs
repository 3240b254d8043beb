//! The HTTP client for publishers: TLS, authentication, timeouts and limits with common options.
//!
//! A publisher includes [`HttpOptions`] in its options (`#[serde(flatten)]` or as a field), creates an [`HttpClient`] from them
//! and sends [`Request`]s. The client connects with the first request, so that an unused one takes no memory. It does not
//! follow redirects, and reads at most [`MAX_RESPONSE_BYTES`] of a response.

mod client;
mod error;
mod options;
mod request;
mod response;
mod tls;

pub use client::{CONNECT_TIMEOUT, HttpClient, MAX_RESPONSE_BYTES, REQUEST_TIMEOUT};
pub use error::HttpError;
pub use options::{BasicAuth, HttpOptions, TlsOptions};
pub use request::{Method, Request};
pub use response::{HttpResponse, StatusClass};
