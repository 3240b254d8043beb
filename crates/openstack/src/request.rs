//! A builder of requests to a service.

use std::sync::Arc;

use nephoscope_plugin::CallDef;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::events;
use crate::exchange::{Answer, Exchange, document};
use crate::link;
use crate::service::Service;
use crate::token::Token;
use crate::versions::{Microversion, Negotiated, VersionDocument};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 3;

/// The header with the token.
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// The characters that are encoded in a URL: all except RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const API_VERSION: HeaderName = HeaderName::from_static("openstack-api-version");
/// The header that Nova used before `OpenStack-API-Version`.
const NOVA_API_VERSION: HeaderName = HeaderName::from_static("x-openstack-nova-api-version");

/// Signs a request without a token: adds headers for this method and URL. The URL's query is encoded by RFC 3986.
pub type Signer = Arc<dyn Fn(&Method, &Url, &mut HeaderMap) + Send + Sync>;

/// A request to a service. Nothing is sent until the answer is awaited.
#[derive(Clone)]
#[must_use = "nothing is sent until the answer is awaited"]
pub struct Request {
    pub(crate) service: Service,
    call: &'static CallDef,
    segments: Vec<String>,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    signer: Option<Signer>,
}

impl Service {
    /// Creates a request of the declared call; its path template is the label of its counters.
    pub fn request(&self, call: &'static CallDef) -> Request {
        Request {
            service: self.clone(),
            call,
            segments: Vec::new(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            signer: None,
        }
    }
}

impl Request {
    /// Fills in the next `{...}` of the path.
    pub fn segment(mut self, text: impl Into<String>) -> Self {
        self.segments.push(text.into());
        self
    }

    /// Adds a query parameter.
    pub fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Requests pages of the configured size with the parameter `limit`.
    pub fn paged(self) -> Self {
        let size = self.service.page_size();
        self.query("limit", size)
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Signs the request; no token is sent.
    pub fn signed(mut self, signer: Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Returns the answer as a JSON document.
    ///
    /// # Errors
    ///
    /// Also an error status, or a document that does not have the form of `T`.
    pub async fn document<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        document(self.send().await?).await
    }

    /// Returns the answer's body.
    ///
    /// # Errors
    ///
    /// Also an error status.
    pub async fn bytes(self) -> Result<Vec<u8>, ApiError> {
        self.send().await?.bytes().await
    }

    /// Returns the answer's headers.
    ///
    /// # Errors
    ///
    /// Also an error status.
    pub async fn headers(self) -> Result<HeaderMap, ApiError> {
        Ok(self.send().await?.headers().clone())
    }

    pub(crate) fn path(&self) -> &'static str {
        self.call.path
    }

    /// Sends the request and returns a successful answer.
    async fn send(&self) -> Result<Answer, ApiError> {
        self.send_to(None).await?.0.successful().await
    }

    /// Sends the request, to another URL of the endpoint if one is given. Returns the answer, whatever its status, and the
    /// URLs of endpoint and answer.
    pub(crate) async fn send_to(&self, url: Option<&Url>) -> Result<(Answer, AnswerUrls), ApiError> {
        let (mut answer, mut urls, token) = self.authenticated(url).await?;
        if let Some(token) = token
            && answer.status() == 401
            && self.service.session.reject_token(&token)
        {
            (answer, urls, _) = self.authenticated(url).await?;
        }
        Ok((answer, urls))
    }

    /// Sends the request with the present token, or signed.
    async fn authenticated(
        &self,
        url: Option<&Url>,
    ) -> Result<(Answer, AnswerUrls, Option<Arc<Token>>), ApiError> {
        let token = match self.signer {
            // Signed requests need the catalog too.
            _ if self.service.session.has_credentials() => Some(self.service.session.token().await?),
            Some(_) => None,
            None => return Err(ApiError::NoCredentials),
        };
        let endpoint = self.service.endpoint.url(token.as_deref())?;
        let requested = match url {
            Some(url) => url.clone(),
            None => self.url(&endpoint)?,
        };
        let mut headers = self.headers.clone();
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        if self.signer.is_none() {
            self.add_token(&mut headers, token.as_deref());
            if let Some(version) = self.microversion(&endpoint, token.as_deref()).await? {
                self.add_version(&mut headers, version);
            }
        }
        let (answer, requested) = self.follow(&endpoint, requested, &headers).await?;
        Ok((answer, AnswerUrls { endpoint, requested }, token))
    }

    /// Sends the request and follows redirects at the endpoint.
    async fn follow(
        &self,
        endpoint: &Url,
        mut url: Url,
        headers: &HeaderMap,
    ) -> Result<(Answer, Url), ApiError> {
        let exchange = Exchange {
            endpoint: &self.service.endpoint,
            method: self.method(),
            path: self.call.path,
            members: self.service.members,
            body: None,
        };
        for _ in 0..MAX_REDIRECTS {
            let answer = match &self.signer {
                None => exchange.send(&url, headers).await?,
                Some(signer) => {
                    let mut headers = headers.clone();
                    signer(&exchange.method, &url, &mut headers);
                    exchange.send(&url, &headers).await?
                }
            };
            let location = match answer.status() {
                301 | 302 | 307 | 308 => answer.headers().get(LOCATION),
                _ => None,
            };
            let Some(location) = location else {
                return Ok((answer, url));
            };
            let location = location.to_str().unwrap_or_default();
            let next = link::follow(self.service.def.name, endpoint, &url, location)?;
            url = next;
        }
        Err(ApiError::Answer {
            service: self.service.def.name,
            what: format!("{} {}", self.call.method, self.call.path),
            reason: format!("more than {MAX_REDIRECTS} redirects"),
        })
    }

    fn add_token(&self, headers: &mut HeaderMap, token: Option<&Token>) {
        if let Some(token) = token {
            headers.insert(X_AUTH_TOKEN, token.header.clone());
        }
    }

    fn add_version(&self, headers: &mut HeaderMap, version: Microversion) {
        let Some(wanted) = &self.service.def.microversion else {
            return;
        };
        if let Ok(value) = HeaderValue::from_str(&format!("{} {version}", wanted.header)) {
            headers.insert(API_VERSION, value);
        }
        if wanted.header == "compute"
            && let Ok(value) = HeaderValue::from_str(&version.to_string())
        {
            headers.insert(NOVA_API_VERSION, value);
        }
    }

    /// Returns the microversion to request: the declared one, or the latest that the service supports.
    async fn microversion(
        &self,
        endpoint: &Url,
        token: Option<&Token>,
    ) -> Result<Option<Microversion>, ApiError> {
        let Some(wanted) = &self.service.def.microversion else {
            return Ok(None);
        };
        let mut known = self.service.endpoint.versions.lock().await;
        if let Some(known) = &*known
            && known.is_fresh()
        {
            return Ok(known.version);
        }
        // The root of an API version contains no project.
        let mut url = endpoint.clone();
        url.set_path(&format!("{}{}", link::prefix(endpoint), wanted.call.path));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.add_token(&mut headers, token);
        let request = self.service.request(&wanted.call);
        let (answer, _) = Box::pin(request.follow(endpoint, url, &headers)).await?;
        let offered: VersionDocument = document(answer.successful().await?).await?;
        let found = Negotiated::of(&offered, wanted.version).map_err(|found| {
            let error = ApiError::Version {
                service: self.service.def.name,
                wanted: wanted.version.to_string(),
                found,
            };
            if self.service.endpoint.set_absent(wanted.call.path) {
                events::version_unknown(&error);
            }
            error
        })?;
        self.service.endpoint.set_present(wanted.call.path);
        *known = Some(found);
        Ok(found.version)
    }

    fn url(&self, endpoint: &Url) -> Result<Url, ApiError> {
        let mut url = self.service.url(endpoint, &self.filled())?;
        if !self.query.is_empty() {
            url.set_query(Some(&self.encoded_query()));
        }
        Ok(url)
    }

    /// Returns the path with its segments filled in.
    fn filled(&self) -> String {
        let mut path = String::new();
        let mut segments = self.segments.iter();
        let mut rest = self.call.path;
        while let Some((before, inner)) = rest.split_once('{') {
            let after = inner.split_once('}').map_or("", |(_, after)| after);
            path.push_str(before);
            encode_segment(&mut path, segments.next().map_or("", String::as_str));
            rest = after;
        }
        path.push_str(rest);
        path
    }

    /// Returns the query in the encoding that signatures require: `%20` for a space.
    fn encoded_query(&self) -> String {
        let mut query = String::new();
        for (name, value) in &self.query {
            if !query.is_empty() {
                query.push('&');
            }
            query.extend(encoded(name));
            query.push('=');
            query.extend(encoded(value));
        }
        query
    }

    fn method(&self) -> Method {
        match self.call.method {
            "HEAD" => Method::HEAD,
            _ => Method::GET,
        }
    }
}

/// The endpoint and the URL of an answer.
#[derive(Debug, Clone)]
pub(crate) struct AnswerUrls {
    pub(crate) endpoint: Url,
    pub(crate) requested: Url,
}

/// Appends one segment of a path, encoded so that it remains one segment.
fn encode_segment(path: &mut String, segment: &str) {
    // URL parsers resolve `.` and `..`, encoded or not.
    if matches!(segment, "." | "..") {
        return path.push('_');
    }
    path.extend(encoded(segment));
}

/// Encodes all except RFC 3986's unreserved characters.
fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

impl std::fmt::Debug for Request {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Request")
            .field("call", self.call)
            .finish_non_exhaustive()
    }
}
