//! One request.

use std::borrow::Cow;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Reads.
    Get,
    /// Sends.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
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

/// One request of a publisher: a body for a URL.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request<'a> {
    /// [`Method::Post`] unless set.
    pub method: Method,
    /// An absolute URL.
    pub url: Cow<'a, str>,
    /// The content type of the body.
    pub content_type: &'static str,
    /// The content encoding of the body, for example `gzip`.
    pub content_encoding: Option<&'static str>,
    /// Headers of this request alone, for example the version of a protocol.
    pub headers: &'a [(&'static str, &'a str)],
    /// The body.
    pub body: Vec<u8>,
}

impl<'a> Request<'a> {
    /// A `POST` of `body`.
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

    /// Another method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Says how the body is compressed.
    #[must_use]
    pub fn content_encoding(mut self, encoding: &'static str) -> Self {
        self.content_encoding = Some(encoding);
        self
    }

    /// Adds headers to this request alone.
    #[must_use]
    pub fn headers(mut self, headers: &'a [(&'static str, &'a str)]) -> Self {
        self.headers = headers;
        self
    }
}
