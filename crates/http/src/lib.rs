//! The HTTP client that publishers share: TLS, authentication, deadlines and bounds, the same options for all of them.
//!
//! A publisher reads [`HttpOptions`] among its own options (`#[serde(flatten)]` or as a field), makes an [`HttpClient`]
//! of them, and sends [`Request`]s. The client connects with the first request: one that is not used costs no memory.
//! It follows no redirect, and it reads at most [`MAX_ANSWER`] bytes of an answer.

mod answer;
mod client;
mod error;
mod options;
mod request;
mod tls;

pub use answer::{Answer, Verdict};
pub use client::{CONNECT_TIMEOUT, HttpClient, MAX_ANSWER, REQUEST_TIMEOUT};
pub use error::HttpError;
pub use options::{BasicAuth, HttpOptions, TlsOptions};
pub use request::{Method, Request};
