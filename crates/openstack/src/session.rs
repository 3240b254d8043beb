//! The session with a cloud: one token for all plugins of an agent, one budget for each service.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nephoscope_plugin::{BuildContext, BuildError, CallCounts, CallDef, CallRate, OptionsError};
use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use tokio::time::Instant;

use crate::catalog::Interface;
use crate::credentials::{self, Access, Credentials};
use crate::definition::{Root, ServiceDef};
use crate::endpoint::Endpoint;
use crate::environment::Environment;
use crate::error::ApiError;
use crate::events;
use crate::exchange::{Exchange, document};
use crate::options::Options;
use crate::retry;
use crate::tls::TlsVersions;
use crate::token::{Token, TokenDocument};
use crate::transport::Transport;

/// The family of the options for access to the cloud.
pub const OPENSTACK: &str = "openstack";

/// Keystone, which issues tokens and answers requests of the plugins.
pub const KEYSTONE: ServiceDef = ServiceDef {
    name: "keystone",
    service_type: "identity",
    root: Root::Endpoint,
    microversion: None,
};

/// The token request. All plugins of an agent that use the session declare it, and share the token.
pub const TOKEN: CallDef = CallDef::new("keystone", "POST", "/v3/auth/tokens")
    .role("none")
    .rate(CallRate::Hourly);

/// The header of Keystone's answer with the token.
const SUBJECT_TOKEN: &str = "x-subject-token";

/// The minimum age of a token that is replaced when a service rejects it: a younger one has not expired.
const YOUNG: Duration = Duration::from_secs(60);

/// The pause after a failed authentication. It doubles with each further failure: repeated attempts with a wrong
/// password lock the account.
const PAUSE: Duration = Duration::from_secs(5);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The session with a cloud.
pub struct Session {
    options: Options,
    transport: Arc<Transport>,
    /// The transports of services with their own TLS options.
    transports: HashMap<String, Arc<Transport>>,
    credentials: Option<Credentials>,
    interface: Interface,
    region: Option<String>,
    calls: CallCounts,
    endpoints: Mutex<HashMap<&'static str, Arc<Endpoint>>>,
    token: Mutex<Option<Arc<Token>>>,
    /// Locked while a token is requested.
    renewal: tokio::sync::Mutex<FailedAttempts>,
    /// Whether the missing credentials were logged.
    has_warned: AtomicBool,
}

/// The failed authentications since the last token.
#[derive(Debug, Default)]
struct FailedAttempts {
    count: u32,
    not_before: Option<Instant>,
    reason: String,
}

impl Session {
    /// Returns the session of this agent, which all plugins of all families share. Without credentials every request fails,
    /// which is logged once.
    ///
    /// # Errors
    ///
    /// An option of the family `openstack` is invalid.
    pub fn of(context: &BuildContext) -> Result<Arc<Self>, BuildError> {
        let session = Self::shared(context)?;
        if !session.has_credentials() && !session.has_warned.swap(true, Ordering::Relaxed) {
            events::no_credentials();
        }
        Ok(session)
    }

    /// Returns the session of this agent if the configuration names a cloud, for plugins that also work without one. Logs
    /// nothing if there is none.
    ///
    /// # Errors
    ///
    /// As [`Session::of`].
    pub fn if_configured(context: &BuildContext) -> Result<Option<Arc<Self>>, BuildError> {
        let session = Self::shared(context)?;
        Ok(session.has_credentials().then_some(session))
    }

    fn shared(context: &BuildContext) -> Result<Arc<Self>, BuildError> {
        let family = context.family(OPENSTACK);
        let shared = family.shared(|| Self::read(&family, &Environment::of_this_process()));
        match &*shared {
            Ok(session) => Ok(session.clone()),
            Err(error) => Err(BuildError::Options(
                family.attribute(OptionsError::new(error.path.clone(), error.message.clone())),
            )),
        }
    }

    fn read(family: &BuildContext, environment: &Environment) -> Result<Arc<Self>, OptionsError> {
        let options: Options = family.options()?;
        let (credentials, access) = credentials::find(&options, environment)?;
        Self::new(options, credentials, access, family.calls().clone())
    }

    fn new(
        options: Options,
        credentials: Option<Credentials>,
        access: Access,
        calls: CallCounts,
    ) -> Result<Arc<Self>, OptionsError> {
        let interface = match access.interface.as_deref() {
            None => Interface::default(),
            Some(text) => interface("interface", text)?,
        };
        let mut transports = HashMap::new();
        for (name, service) in &options.services {
            if let Some(text) = &service.interface {
                self::interface(&format!("services.{name}.interface"), text)?;
            }
            let versions = TlsVersions {
                min: service.tls_min_version,
                max: service.tls_max_version,
            };
            if service.cafile.is_none() && service.insecure.is_none() && versions == TlsVersions::default() {
                continue;
            }
            let own = Access {
                ca: service.cafile.clone().or_else(|| access.ca.clone()),
                insecure: service.insecure.unwrap_or(access.insecure),
                versions: versions.or(access.versions),
                ..access.clone()
            };
            let transport = Transport::new(&own, options.timeout.0)
                .map_err(|error| error.within(&format!("services.{name}")))?;
            transports.insert(name.clone(), Arc::new(transport));
        }
        Ok(Arc::new(Self {
            transport: Arc::new(Transport::new(&access, options.timeout.0)?),
            transports,
            options,
            credentials,
            interface,
            region: access.region,
            calls,
            endpoints: Mutex::default(),
            token: Mutex::default(),
            renewal: tokio::sync::Mutex::default(),
            has_warned: AtomicBool::new(false),
        }))
    }

    /// The options of the session.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns all URLs of a service type in the catalog (default: all types), with the session's interface and region.
    ///
    /// # Errors
    ///
    /// There is no token.
    pub async fn catalog_urls(&self, service_type: Option<&str>) -> Result<Vec<String>, ApiError> {
        let token = self.token().await?;
        let urls = token
            .catalog
            .urls(service_type, self.interface, self.region.as_deref(), None);
        Ok(urls.map(str::to_owned).collect())
    }

    /// Whether the configuration names a cloud.
    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Returns the project of the token's scope, if the scope is a project.
    ///
    /// # Errors
    ///
    /// There is no token.
    pub async fn project_id(&self) -> Result<Option<String>, ApiError> {
        Ok(self.token().await?.project_id.clone())
    }

    /// Returns the endpoint of a service, which all its callers share.
    pub(crate) fn endpoint(&self, def: &ServiceDef) -> Arc<Endpoint> {
        let mut endpoints = self.endpoints.lock();
        endpoints
            .entry(def.name)
            .or_insert_with(|| {
                Arc::new(Endpoint::new(
                    def,
                    &self.options,
                    self.interface,
                    self.region.as_deref(),
                    self.transports.get(def.name).unwrap_or(&self.transport).clone(),
                    self.calls.clone(),
                ))
            })
            .clone()
    }

    /// Returns the present token, or a new one if the present one is about to expire.
    pub(crate) async fn token(&self) -> Result<Arc<Token>, ApiError> {
        let credentials = self.credentials.as_ref().ok_or(ApiError::NoCredentials)?;
        let present = self.present();
        if let Some(token) = &present
            && !token.is_due()
        {
            return Ok(token.clone());
        }
        let usable = present.filter(|token| token.is_valid());
        let mut attempts = match &usable {
            // One caller renews the token; the others use the present one meanwhile.
            Some(token) => match self.renewal.try_lock() {
                Ok(attempts) => attempts,
                Err(_) => return Ok(token.clone()),
            },
            None => self.renewal.lock().await,
        };
        if let Some(token) = self.present()
            && !token.is_due()
        {
            return Ok(token);
        }
        if attempts.not_before.is_some_and(|time| Instant::now() < time) {
            return usable.ok_or_else(|| ApiError::AuthenticationBackoff {
                reason: attempts.reason.clone(),
            });
        }
        match self.authenticate(credentials).await {
            Ok(token) => {
                *attempts = FailedAttempts::default();
                let token = Arc::new(token);
                *self.token.lock() = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                attempts.failed(&error);
                events::token_failed(&error, usable.is_some());
                usable.ok_or_else(|| ApiError::NoToken {
                    url: credentials.tokens_url.to_string(),
                    source: Box::new(error),
                })
            }
        }
    }

    /// Records that a service rejected this token. Returns whether a retry with another token may succeed.
    pub(crate) fn reject_token(&self, token: &Arc<Token>) -> bool {
        let mut present = self.token.lock();
        match &*present {
            // Another caller has renewed the token meanwhile.
            Some(present) if !Arc::ptr_eq(present, token) => true,
            _ if token.obtained.elapsed() < YOUNG => false,
            _ => {
                *present = None;
                true
            }
        }
    }

    fn present(&self) -> Option<Arc<Token>> {
        self.token.lock().clone()
    }

    async fn authenticate(&self, credentials: &Credentials) -> Result<Token, ApiError> {
        let endpoint = self.endpoint(&KEYSTONE);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let exchange = Exchange {
            endpoint: &endpoint,
            method: Method::POST,
            path: TOKEN.path,
            members: 1,
            body: Some(credentials.request().to_string()),
        };
        let sent = Instant::now();
        let url: Url = credentials.tokens_url.clone();
        let answer = exchange.send(&url, &headers).await?.successful().await?;
        let Some(header) = answer.headers().get(SUBJECT_TOKEN).cloned() else {
            return Err(answer.unreadable("it contains no token".to_owned()));
        };
        let body: TokenDocument = document(answer).await?;
        let token = Token::new(header, body, sent);
        events::token_obtained(url.as_str(), token.catalog.len(), token.lifetime.as_secs());
        Ok(token)
    }
}

impl FailedAttempts {
    fn failed(&mut self, error: &ApiError) {
        self.reason = error.chain();
        let doublings = self.count.min(8);
        self.count = self.count.saturating_add(1);
        let pause = PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        self.not_before = Some(Instant::now() + retry::jittered(pause));
    }
}

fn interface(path: &str, text: &str) -> Result<Interface, OptionsError> {
    Interface::parse(text).ok_or_else(|| {
        OptionsError::new(
            path.to_owned(),
            format!("`{text}` is invalid; expected `public`, `internal` or `admin`"),
        )
    })
}

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Session")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
