//! HTTP requests.

use std::borrow::Cow;

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
        }
    }
}

/// A request of a publisher.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method. Default: [`Method::Post`].
    pub method: Method,
    /// An absolute URL.
    pub url: Cow<'a, str>,
    /// The content type of the body.
    pub content_type: &'static str,
    /// The content encoding of the body, for example `gzip`.
    pub content_encoding: Option<&'static str>,
    /// Headers of this request only, such as the version of a protocol.
    pub headers: &'a [(&'static str, &'a str)],
    /// The body.
    pub body: Vec<u8>,
}

impl<'a> Request<'a> {
    /// Creates a `POST` of `body`.
    pub fn post(url: impl Into<Cow<'a, str>>, content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            method: Method::Post,
            url: url.into(),
            content_type,
            content_encoding: None,
            headers: &[],
            body,
        }
    }

    /// Sets the method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets the content encoding of the body.
    #[must_use]
    pub fn content_encoding(mut self, encoding: &'static str) -> Self {
        self.content_encoding = Some(encoding);
        self
    }

    /// Sets headers of this request only.
    #[must_use]
    pub fn headers(mut self, headers: &'a [(&'static str, &'a str)]) -> Self {
        self.headers = headers;
        self
    }
}
