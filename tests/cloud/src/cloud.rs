//! A running cloud, and the functions with which a test controls it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cache::{self, Cache};
use crate::clock;
use crate::fault::Fault;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::size::Size;
use crate::world::World;
use crate::{
    aodh, barbican, cinder, designate, glance, keystone, manila, neutron, nova, octavia, rgw, swift,
};

/// The number of requests whose queries are stored.
const MOST_URLS: usize = 1000;

/// The default lifetime of tokens.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// A kind of request, with its count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// The service; `?` for paths of no service.
    pub service: &'static str,
    /// The method.
    pub method: String,
    /// The path template, without the prefix of the service.
    pub path: String,
    /// The status of the response.
    pub status: u16,
    /// The count.
    pub count: u64,
}

/// A running cloud. Dropping it stops it.
#[derive(Debug)]
pub struct Cloud {
    shared: Shared,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// The state that the handlers share.
pub(crate) type Shared = Arc<Inner>;

#[derive(Debug)]
pub(crate) struct Inner {
    state: Mutex<Inside>,
    pub(crate) kept: Cache,
}

#[derive(Debug)]
struct Inside {
    world: World,
    latency: Duration,
    faults: Vec<Fault>,
    tokens: HashMap<String, Token>,
    token_lifetime: Duration,
    tokens_given: u64,
    without: BTreeSet<Service>,
    without_paths: BTreeSet<String>,
    answers: BTreeMap<String, (HeaderMap, serde_json::Value)>,
    counts: BTreeMap<(&'static str, String, String, u16), u64>,
    urls: Vec<String>,
    in_flight: BTreeMap<&'static str, usize>,
    peak_concurrency: BTreeMap<&'static str, usize>,
}

/// An issued token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) project: Option<String>,
    /// Whether it permits access to other projects.
    pub(crate) admin: bool,
    ends: Instant,
}

impl Cloud {
    /// Starts a cloud of this size on a free port of the loopback interface.
    pub async fn start(size: Size) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), size)
            .await
            .expect("a port is free")
    }

    /// Starts a cloud of this size at an address.
    ///
    /// # Errors
    ///
    /// If the address is not available.
    pub async fn start_at(address: SocketAddr, size: Size) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let inside = Inside {
            world: World {
                size,
                first: 0,
                base: format!("http://{address}"),
            },
            latency: Duration::ZERO,
            faults: Vec::new(),
            tokens: HashMap::new(),
            token_lifetime: TOKEN_LIFETIME,
            tokens_given: 0,
            without: BTreeSet::new(),
            without_paths: BTreeSet::new(),
            answers: BTreeMap::new(),
            counts: BTreeMap::new(),
            urls: Vec::new(),
            in_flight: BTreeMap::new(),
            peak_concurrency: BTreeMap::new(),
        };
        let shared: Shared = Arc::new(Inner {
            state: Mutex::new(inside),
            kept: Cache::default(),
        });
        let router = router(shared.clone());
        let server = tokio::spawn(async move {
            // It ends when it is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            shared,
            address,
            server,
        })
    }

    /// Returns `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the URL of Keystone.
    #[must_use]
    pub fn auth_url(&self) -> String {
        format!("{}/identity/v3", self.url())
    }

    /// Returns the options under `plugins: {openstack: ...}` with which an agent polls this cloud.
    #[must_use]
    pub fn options(&self) -> serde_json::Value {
        serde_json::json!({
            "auth_url": self.auth_url(),
            "username": keystone::USER,
            "password": keystone::PASSWORD,
            "user_domain_name": "Default",
            "project_name": "service",
            "project_domain_name": "Default",
        })
    }

    /// Delays each response by this much.
    pub fn latency(&self, latency: Duration) {
        self.shared.state.lock().latency = latency;
    }

    /// Injects a fault. If several faults match a request, the first one applies.
    pub fn fault(&self, fault: Fault) {
        self.shared.state.lock().faults.push(fault);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.shared.state.lock().faults.clear();
    }

    /// Replaces resources of each kind: the oldest `count` are removed, and as many are added.
    pub fn churn(&self, count: usize) {
        self.shared.state.lock().world.first += count;
        self.shared.kept.forget();
    }

    /// Invalidates all tokens.
    pub fn expire_tokens(&self) {
        self.shared.state.lock().tokens.clear();
    }

    /// Returns the number of tokens issued so far.
    #[must_use]
    pub fn tokens_given(&self) -> u64 {
        self.shared.state.lock().tokens_given
    }

    /// Sets the lifetime of new tokens.
    pub fn token_lifetime(&self, lifetime: Duration) {
        self.shared.state.lock().token_lifetime = lifetime;
    }

    /// Removes a service from the catalog of new tokens, or adds it again.
    pub fn in_catalog(&self, service: Service, present: bool) {
        let mut state = self.shared.state.lock();
        if present {
            state.without.remove(&service);
        } else {
            state.without.insert(service);
        }
    }

    /// Removes an extension: requests whose path template ends with `path` get 404.
    pub fn without(&self, path: &str) {
        self.shared.state.lock().without_paths.insert(path.to_owned());
    }

    /// Answers requests with this path (without the query) with this document.
    pub fn answers(&self, path: &str, document: serde_json::Value) {
        self.answers_with(path, &[], document);
    }

    /// Does the same as [`Cloud::answers`], with headers.
    pub fn answers_with(
        &self,
        path: &str,
        headers: &[(&'static str, &'static str)],
        document: serde_json::Value,
    ) {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let answer = (headers.collect(), document);
        self.shared.state.lock().answers.insert(path.to_owned(), answer);
    }

    /// Sets the base of links and of the catalog, instead of [`Cloud::url`].
    pub fn links_to(&self, base: &str) {
        self.shared.state.lock().world.base = base.to_owned();
        self.shared.kept.forget();
    }

    /// Returns all requests so far.
    #[must_use]
    pub fn counts(&self) -> Vec<Counted> {
        let state = self.shared.state.lock();
        let counts = state.counts.iter();
        counts
            .map(|((service, method, path, status), count)| Counted {
                service,
                method: method.clone(),
                path: path.clone(),
                status: *status,
                count: *count,
            })
            .collect()
    }

    /// Returns all requests so far as text, a line per kind: `glance GET /v2/images 200 x 3`.
    #[must_use]
    pub fn counted(&self) -> String {
        let line = |counted: &Counted| {
            format!(
                "{} {} {} {} x {}\n",
                counted.service, counted.method, counted.path, counted.status, counted.count
            )
        };
        self.counts().iter().map(line).collect()
    }

    /// Returns the number of requests to a service so far.
    #[must_use]
    pub fn requests(&self, service: Service) -> u64 {
        let counts = self.counts();
        let own = counts.iter().filter(|counted| counted.service == service.name());
        own.map(|counted| counted.count).sum()
    }

    /// Returns path and query of the requests to a service, in order, of the first thousand of the cloud.
    #[must_use]
    pub fn urls(&self, service: Service) -> Vec<String> {
        let state = self.shared.state.lock();
        let urls = state.urls.iter();
        urls.filter(|url| Service::of_path(url) == Some(service))
            .cloned()
            .collect()
    }

    /// Resets the counts.
    pub fn forget_counts(&self) {
        let mut state = self.shared.state.lock();
        state.counts.clear();
        state.urls.clear();
        state.peak_concurrency.clear();
    }

    /// Returns the maximum number of concurrent requests to a service.
    #[must_use]
    pub fn peak_concurrency(&self, service: Service) -> usize {
        let state = self.shared.state.lock();
        state
            .peak_concurrency
            .get(service.name())
            .copied()
            .unwrap_or_default()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Inner {
    /// Returns the current content of the cloud.
    pub(crate) fn world(&self) -> World {
        self.state.lock().world.clone()
    }

    /// Returns the services in the catalog.
    pub(crate) fn services(&self) -> Vec<Service> {
        let state = self.state.lock();
        let all = Service::ALL.into_iter();
        all.filter(|service| !state.without.contains(service)).collect()
    }

    /// Issues a token. Returns its text and its lifetime.
    pub(crate) fn give_token(&self, project: Option<String>, admin: bool) -> (String, Duration) {
        let mut state = self.state.lock();
        state.tokens_given += 1;
        let text = format!("gAAAAAB{:040x}", state.tokens_given);
        let lifetime = state.token_lifetime;
        let token = Token {
            project,
            admin,
            ends: Instant::now() + lifetime,
        };
        state.tokens.insert(text.clone(), token);
        (text, lifetime)
    }

    /// Returns the valid token with this text.
    pub(crate) fn token(&self, text: &str) -> Option<Token> {
        let state = self.state.lock();
        let token = state.tokens.get(text)?;
        (Instant::now() < token.ends).then(|| token.clone())
    }

    /// Returns the caller by the token in these headers.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let text = headers.get("x-auth-token")?.to_str().ok()?;
        let token = self.token(text)?;
        Some(Caller {
            project: token.project,
            admin: token.admin,
        })
    }
}

/// The owner of a valid token. A request without one is rejected.
pub(crate) struct Caller {
    pub(crate) project: Option<String>,
    pub(crate) admin: bool,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Refusal> {
        shared.caller(&parts.headers).ok_or_else(|| {
            let service = Service::of_path(parts.uri.path()).unwrap_or(Service::Keystone);
            Refusal::new(service, 401, "The request you have made requires authentication.")
        })
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .merge(keystone::routes())
        .merge(nova::routes())
        .merge(glance::routes())
        .merge(cinder::routes())
        .merge(neutron::routes())
        .merge(octavia::routes())
        .merge(designate::routes())
        .merge(manila::routes())
        .merge(aodh::routes())
        .merge(swift::routes())
        .merge(rgw::routes())
        .merge(barbican::routes())
        .fallback(nothing)
        .method_not_allowed_fallback(no_method)
        .layer(axum::middleware::from_fn_with_state(shared.clone(), around))
        .with_state(shared)
}

async fn nothing(request: Request) -> Refusal {
    let service = Service::of_path(request.uri().path()).unwrap_or(Service::Keystone);
    Refusal::new(service, 404, "The resource could not be found.")
}

async fn no_method(request: Request) -> Refusal {
    let service = Service::of_path(request.uri().path()).unwrap_or(Service::Keystone);
    Refusal::new(service, 405, "The method is not allowed for this resource.")
}

/// Handles latency, faults and counts of each request.
async fn around(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let template = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| path.clone(), |matched| matched.as_str().to_owned());
    let service = Service::of_path(&path);
    let name = service.map_or("?", Service::name);
    let method = request.method().to_string();
    let latency = {
        let mut state = shared.state.lock();
        let in_flight = state.in_flight.entry(name).or_default();
        *in_flight += 1;
        let now = *in_flight;
        let max = state.peak_concurrency.entry(name).or_default();
        *max = (*max).max(now);
        if state.urls.len() < MOST_URLS {
            state.urls.push(request.uri().to_string());
        }
        state.latency
    };
    let _in_flight = InFlight {
        shared: shared.clone(),
        name,
    };
    let due = clock::after(latency);
    let response = answer(&shared, service, &template, request, next).await;
    // The time to create the response is part of the latency. Tokio's timers are up to two milliseconds late, too much for
    // benchmarks that measure the overhead above the latency.
    async_io::Timer::at(due).await;
    let status = response.status().as_u16();
    let template = match service {
        Some(Service::Rgw) | None => template,
        // Without the prefix of the service.
        Some(_) => {
            let inner = template.trim_start_matches('/');
            inner
                .split_once('/')
                .map_or_else(|| "/".to_owned(), |(_, rest)| format!("/{rest}"))
        }
    };
    let mut state = shared.state.lock();
    *state.counts.entry((name, method, template, status)).or_default() += 1;
    response
}

/// A request in flight, until it is answered or its connection is closed.
struct InFlight {
    shared: Shared,
    name: &'static str,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(in_flight) = self.shared.state.lock().in_flight.get_mut(self.name) {
            *in_flight -= 1;
        }
    }
}

async fn answer(
    shared: &Shared,
    service: Option<Service>,
    template: &str,
    request: Request,
    next: Next,
) -> Response {
    let Some(service) = service else {
        return next.run(request).await;
    };
    let fault = {
        let mut state = shared.state.lock();
        if state
            .without_paths
            .iter()
            .any(|path| template.ends_with(path.as_str()))
        {
            return Refusal::new(service, 404, "The resource could not be found.").into_response();
        }
        if let Some((headers, document)) = state.answers.get(request.uri().path()) {
            return (headers.clone(), axum::Json(document.clone())).into_response();
        }
        let faults = state.faults.iter_mut();
        let mut hit = faults.filter_map(|fault| fault.hits(service, template).then(|| fault.kind.clone()));
        hit.next()
    };
    let Some(fault) = fault else {
        return cache::answer(shared, request, next).await;
    };
    if let Some(response) = fault.instead(service).await {
        return response;
    }
    fault.spoil(next.run(request).await).await
}
