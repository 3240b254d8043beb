//! The HTTP client.

use std::time::Duration;

use nephoscope_plugin::OptionsError;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Response};
use tokio::sync::OnceCell;

use crate::options::HttpOptions;
use crate::tls::TlsFiles;
use crate::{HttpError, HttpResponse, Request};

/// The default timeout for connecting.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default timeout for a request with its response.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The limit on the body of a response. The rest is discarded, and the connection is closed.
pub const MAX_RESPONSE_BYTES: usize = 8 * 1024;

/// The timeout of an idle connection. Servers close idle connections after a minute or more.
const IDLE: Duration = Duration::from_secs(30);

/// An HTTP client for one publisher.
#[derive(Debug)]
pub struct HttpClient {
    options: HttpOptions,
    headers: HeaderMap,
    files: TlsFiles,
    client: OnceCell<Client>,
}

impl HttpClient {
    /// Reads the files that the options name. Creates no connection and no client yet, since a client takes memory.
    ///
    /// # Errors
    ///
    /// Returns the first invalid option, as a path below the options.
    pub fn new(options: HttpOptions) -> Result<Self, OptionsError> {
        Ok(Self {
            headers: options.header_map()?,
            files: TlsFiles::read(&options.tls)?,
            options,
            client: OnceCell::new(),
        })
    }

    /// Sends a request and returns the response with any status.
    ///
    /// # Errors
    ///
    /// Fails if there is no response.
    pub async fn send(&self, request: Request<'_>) -> Result<HttpResponse, HttpError> {
        let client = self.client.get_or_try_init(|| async { self.build() }).await?;
        let mut builder = client
            .request(request.method.into(), &*request.url)
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, request.content_type)
            .body(request.body);
        if let Some(encoding) = request.content_encoding {
            builder = builder.header(CONTENT_ENCODING, encoding);
        }
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        if let Some(basic) = &self.options.basic {
            builder = builder.basic_auth(&basic.user, Some(basic.password.expose()));
        }
        if let Some(token) = &self.options.bearer {
            builder = builder.bearer_auth(token.expose());
        }
        let response = builder.send().await.map_err(HttpError::of)?;
        read(response).await
    }

    fn build(&self) -> Result<Client, HttpError> {
        let duration = |option: Option<_>, default| option.map_or(default, Duration::from);
        let mut builder = Client::builder()
            .user_agent(concat!("nephoscope/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(duration(self.options.connect_timeout, CONNECT_TIMEOUT))
            .timeout(duration(self.options.timeout, REQUEST_TIMEOUT))
            .pool_idle_timeout(IDLE)
            .tls_certs_only(self.files.trusted());
        if let Some(identity) = &self.files.identity {
            builder = builder.identity(identity.clone());
        }
        builder.build().map_err(HttpError::Client)
    }
}

async fn read(mut source: Response) -> Result<HttpResponse, HttpError> {
    let mut response = HttpResponse::new(source.status().as_u16(), source.headers());
    while let Some(chunk) = source.chunk().await.map_err(HttpError::of)? {
        let room = MAX_RESPONSE_BYTES - response.body.len();
        response.body.extend(chunk.iter().take(room));
        if chunk.len() > room {
            response.truncated = true;
            break;
        }
    }
    Ok(response)
}
