//! A running cloud, and what a test may do with it.

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

use crate::clock;
use crate::fault::Fault;
use crate::kept::{self, Kept};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::size::Size;
use crate::world::World;
use crate::{
    aodh, barbican, cinder, designate, glance, keystone, manila, neutron, nova, octavia, rgw, swift,
};

/// So many requests are remembered with their queries.
const MOST_URLS: usize = 1000;

/// How long tokens last unless a test says otherwise.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// A kind of request, and how often it was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// The service; `?` for paths that belong to none.
    pub service: &'static str,
    /// The method.
    pub method: String,
    /// The path template, without the prefix of the service.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// How often.
    pub count: u64,
}

/// A running cloud; it ends when this is dropped.
#[derive(Debug)]
pub struct Cloud {
    shared: Shared,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// What the handlers share.
pub(crate) type Shared = Arc<Inner>;

#[derive(Debug)]
pub(crate) struct Inner {
    state: Mutex<Inside>,
    pub(crate) kept: Kept,
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
    under_way: BTreeMap<&'static str, usize>,
    most_under_way: BTreeMap<&'static str, usize>,
}

/// A token that was given.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) project: Option<String>,
    /// Whether it opens what belongs to others.
    pub(crate) admin: bool,
    ends: Instant,
}

impl Cloud {
    /// Starts a cloud of this size on a free port of the loopback interface.
    pub async fn start(size: Size) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), size)
            .await
            .expect("a port can be had")
    }

    /// Starts a cloud of this size at an address.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
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
            under_way: BTreeMap::new(),
            most_under_way: BTreeMap::new(),
        };
        let shared: Shared = Arc::new(Inner {
            state: Mutex::new(inside),
            kept: Kept::default(),
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

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where Keystone is.
    #[must_use]
    pub fn auth_url(&self) -> String {
        format!("{}/identity/v3", self.url())
    }

    /// The options under `plugins: {openstack: ...}` with which an agent polls this cloud.
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

    /// Lets each answer take so long.
    pub fn latency(&self, latency: Duration) {
        self.shared.state.lock().latency = latency;
    }

    /// Makes a service fail; of several faults that fit a request the first counts.
    pub fn fault(&self, fault: Fault) {
        self.shared.state.lock().faults.push(fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.shared.state.lock().faults.clear();
    }

    /// Replaces so many resources of each kind: the oldest go, as many new ones come.
    pub fn churn(&self, count: usize) {
        self.shared.state.lock().world.first += count;
        self.shared.kept.forget();
    }

    /// Ends all tokens.
    pub fn expire_tokens(&self) {
        self.shared.state.lock().tokens.clear();
    }

    /// How many tokens were given so far.
    #[must_use]
    pub fn tokens_given(&self) -> u64 {
        self.shared.state.lock().tokens_given
    }

    /// How long tokens that are given from now on last.
    pub fn token_lifetime(&self, lifetime: Duration) {
        self.shared.state.lock().token_lifetime = lifetime;
    }

    /// Takes a service out of the catalog of tokens that are given from now on, or puts it back.
    pub fn in_catalog(&self, service: Service, present: bool) {
        let mut state = self.shared.state.lock();
        if present {
            state.without.remove(&service);
        } else {
            state.without.insert(service);
        }
    }

    /// Takes an extension away: requests whose path template ends so find nothing.
    pub fn without(&self, path: &str) {
        self.shared.state.lock().without_paths.insert(path.to_owned());
    }

    /// Answers requests with this path (without their query) with this document, whatever there is in the cloud.
    pub fn answers(&self, path: &str, document: serde_json::Value) {
        self.answers_with(path, &[], document);
    }

    /// As [`Cloud::answers`], with headers.
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

    /// What links and the catalog begin with, in the place of [`Cloud::url`].
    pub fn links_to(&self, base: &str) {
        self.shared.state.lock().world.base = base.to_owned();
        self.shared.kept.forget();
    }

    /// All requests so far.
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

    /// All requests so far, one kind a line: `glance GET /v2/images 200 x 3`.
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

    /// How many requests a service got so far.
    #[must_use]
    pub fn requests(&self, service: Service) -> u64 {
        let counts = self.counts();
        let own = counts.iter().filter(|counted| counted.service == service.name());
        own.map(|counted| counted.count).sum()
    }

    /// Path and query of the requests that a service got, in order; the first thousand of the cloud.
    #[must_use]
    pub fn urls(&self, service: Service) -> Vec<String> {
        let state = self.shared.state.lock();
        let urls = state.urls.iter();
        urls.filter(|url| Service::of_path(url) == Some(service))
            .cloned()
            .collect()
    }

    /// Counts from zero again.
    pub fn forget_counts(&self) {
        let mut state = self.shared.state.lock();
        state.counts.clear();
        state.urls.clear();
        state.most_under_way.clear();
    }

    /// How many requests a service had under way at once.
    #[must_use]
    pub fn most_under_way(&self, service: Service) -> usize {
        let state = self.shared.state.lock();
        state
            .most_under_way
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
    /// What is in the cloud now.
    pub(crate) fn world(&self) -> World {
        self.state.lock().world.clone()
    }

    /// The services in the catalog.
    pub(crate) fn services(&self) -> Vec<Service> {
        let state = self.state.lock();
        let all = Service::ALL.into_iter();
        all.filter(|service| !state.without.contains(service)).collect()
    }

    /// Gives a token. Its text and how long it lasts.
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

    /// The token of this text, if it was given and has not ended.
    pub(crate) fn token(&self, text: &str) -> Option<Token> {
        let state = self.state.lock();
        let token = state.tokens.get(text)?;
        (Instant::now() < token.ends).then(|| token.clone())
    }

    /// Who asks, by the token in these headers.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let text = headers.get("x-auth-token")?.to_str().ok()?;
        let token = self.token(text)?;
        Some(Caller {
            project: token.project,
            admin: token.admin,
        })
    }
}

/// Who asks: the owner of a valid token. Whoever has none is refused.
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

/// What happens around each request: latency, faults, counting.
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
        let under_way = state.under_way.entry(name).or_default();
        *under_way += 1;
        let now = *under_way;
        let most = state.most_under_way.entry(name).or_default();
        *most = (*most).max(now);
        if state.urls.len() < MOST_URLS {
            state.urls.push(request.uri().to_string());
        }
        state.latency
    };
    let _under_way = UnderWay {
        shared: shared.clone(),
        name,
    };
    let due = clock::after(latency);
    let response = answer(&shared, service, &template, request, next).await;
    // What the answer took to make is a part of the latency. Tokio's timers are up to two milliseconds late, which is
    // much for those who measure how much longer than the latency something takes.
    async_io::Timer::at(due).await;
    let status = response.status().as_u16();
    let template = match service {
        Some(Service::Rgw) | None => template,
        // Without the prefix under which the service is shown.
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

/// A request that is under way, until it is answered or its connection is gone.
struct UnderWay {
    shared: Shared,
    name: &'static str,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(under_way) = self.shared.state.lock().under_way.get_mut(self.name) {
            *under_way -= 1;
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
        return kept::answer(shared, request, next).await;
    };
    if let Some(response) = fault.instead(service).await {
        return response;
    }
    fault.spoil(next.run(request).await).await
}
