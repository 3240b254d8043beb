//! The state of one service's endpoint: its budget, its circuit, its missing APIs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nephoscope_plugin::{CallCounts, CallOutcome};
use parking_lot::Mutex;
use reqwest::Url;
use tokio::time::Instant;

use crate::breaker::{Breaker, LastFailure, Pass};
use crate::budget::Budget;
use crate::catalog::Interface;
use crate::definition::ServiceDef;
use crate::error::ApiError;
use crate::events;
use crate::options::Options;
use crate::token::Token;
use crate::transport::Transport;
use crate::versions::Negotiated;

/// An API that a service lacks is requested again after this time.
const ABSENT: Duration = Duration::from_secs(600);

/// The endpoint of one service, shared by all its callers.
pub(crate) struct Endpoint {
    /// The name of the service.
    pub(crate) name: &'static str,
    pub(crate) transport: Arc<Transport>,
    pub(crate) budget: Budget,
    /// How often a request is retried.
    pub(crate) retries: u32,
    /// The time limit until an answer starts.
    pub(crate) timeout: Duration,
    pub(crate) page_size: u32,
    pub(crate) concurrency: usize,
    pub(crate) versions: tokio::sync::Mutex<Option<Negotiated>>,
    breaker: Breaker,
    calls: CallCounts,
    service_type: String,
    catalog_name: Option<String>,
    interface: Interface,
    region: Option<String>,
    fixed: Option<String>,
    missing: AtomicBool,
    absent: Mutex<HashMap<&'static str, Instant>>,
}

impl Endpoint {
    pub(crate) fn new(
        def: &ServiceDef,
        options: &Options,
        interface: Interface,
        region: Option<&str>,
        transport: Arc<Transport>,
        calls: CallCounts,
    ) -> Self {
        let own = options.services.get(def.name).cloned().unwrap_or_default();
        let concurrency = own.concurrency.unwrap_or(options.concurrency).max(1);
        let concurrency = usize::try_from(concurrency).unwrap_or(1);
        Self {
            name: def.name,
            transport,
            budget: Budget::new(concurrency, own.rate.unwrap_or(options.rate)),
            retries: options.retries,
            timeout: options.timeout.0,
            concurrency,
            page_size: own.page_size.unwrap_or(options.page_size),
            versions: tokio::sync::Mutex::default(),
            breaker: Breaker::new(options.breaker_failures, options.breaker_interval.0),
            calls,
            service_type: own.service_type.unwrap_or_else(|| def.service_type.to_owned()),
            catalog_name: own.catalog_name,
            interface: own
                .interface
                .as_deref()
                .and_then(Interface::parse)
                .unwrap_or(interface),
            region: own.region_name.or_else(|| region.map(str::to_owned)),
            fixed: own.endpoint,
            missing: AtomicBool::new(false),
            absent: Mutex::default(),
        }
    }

    /// Returns the service's URL from the configuration or the token's catalog.
    pub(crate) fn url(&self, token: Option<&Token>) -> Result<Url, ApiError> {
        let found = self.fixed.as_deref().or_else(|| {
            token?.catalog.find(
                &self.service_type,
                self.interface,
                self.region.as_deref(),
                self.catalog_name.as_deref(),
            )
        });
        let Some(found) = found else {
            let error = ApiError::NoEndpoint {
                service_type: self.service_type.clone(),
                interface: self.interface.as_str(),
                region: self
                    .region
                    .as_ref()
                    .map(|region| format!(" in region {region}"))
                    .unwrap_or_default(),
            };
            if !self.missing.swap(true, Ordering::Relaxed) {
                events::service_missing(&error);
            }
            return Err(error);
        };
        if self.missing.swap(false, Ordering::Relaxed) {
            events::service_found(self.name);
        }
        usable(found).map_err(|reason| ApiError::BadEndpoint {
            service: self.name,
            reason,
        })
    }

    /// Returns the circuit breaker's permit for one request.
    pub(crate) fn pass(&self) -> Result<Pass<'_>, LastFailure> {
        let pass = self.breaker.pass();
        self.calls.circuit(self.name, self.breaker.circuit());
        pass
    }

    /// Records that the service answered without a server error.
    pub(crate) fn succeeded(&self, pass: Pass<'_>) {
        if pass.succeeded() {
            events::circuit_closed(self.name);
        }
        self.calls.circuit(self.name, self.breaker.circuit());
    }

    /// Records that the service failed.
    pub(crate) fn failed(&self, pass: Pass<'_>, reason: LastFailure) {
        let text = reason.reason.clone();
        if pass.failed(reason) {
            events::circuit_opened(self.name, &text);
        }
        self.calls.circuit(self.name, self.breaker.circuit());
    }

    pub(crate) fn count(&self, method: &'static str, path: &'static str, outcome: CallOutcome) {
        self.calls.count(self.name, method, path, outcome);
    }

    /// Whether the service reported recently that it lacks the API at this path.
    pub(crate) fn is_absent(&self, path: &'static str) -> bool {
        let absent = self.absent.lock();
        absent.get(path).is_some_and(|since| since.elapsed() < ABSENT)
    }

    /// Records that the service lacks the API at this path. Returns whether this is new.
    pub(crate) fn set_absent(&self, path: &'static str) -> bool {
        self.absent.lock().insert(path, Instant::now()).is_none()
    }

    /// Records that the service has the API at this path.
    pub(crate) fn set_present(&self, path: &'static str) {
        self.absent.lock().remove(path);
    }
}

/// Parses and checks a URL: a catalog's endpoints are untrusted.
fn usable(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "unsupported scheme `{}`; expected http or https",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL contains a user".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL contains a query".to_owned());
    }
    Ok(url)
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("circuit", &self.breaker.circuit())
            .finish_non_exhaustive()
    }
}
