//! The servers of this host from Nova: a full list rarely, and changes in between.
//!
//! A new list replaces the previous one when it is complete. If a request fails, the previous list remains in use, and the
//! next cycle sends the same request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nephoscope_model::Timestamp;
use nephoscope_openstack::{ApiError, TOKEN};
use nephoscope_plugin::{Call, CallRate, Failure};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::events;
use crate::identity::Identity;
use crate::nova::age::{age, before, is_old};
use crate::nova::api::{Api, FLAVOR, Flavor, IMAGE, Image, SERVERS};
use crate::nova::details::Details;
use crate::nova::server::NovaServer;
use crate::options::{Method, Options};
use crate::snapshot::{Domain, Snapshot};

/// The maximum number of servers of a host. More servers mean that Nova's filter by host does not work.
const MAX_SERVERS: usize = 16_384;

/// Changes are requested since the time of the last list minus this duration: the clocks of this host and Nova differ, and
/// a change becomes visible after its timestamp.
const OVERLAP: Duration = Duration::from_secs(60);

/// If Nova does not answer in time, cycles use the previous list for this time, and likewise for flavors and images, so
/// that measurements are not delayed in each cycle.
const PAUSE: Duration = Duration::from_secs(60);

/// The servers with their flavors and images.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerList {
    /// By id.
    pub(crate) servers: BTreeMap<String, Arc<NovaServer>>,
    flavors: Details<Flavor>,
    images: Details<Image>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServersError {
    /// The request failed.
    #[error("cannot list the servers of this host")]
    Api(#[source] ApiError),
    /// No answer before the deadline.
    #[error("Nova did not list the servers of this host in time")]
    TimedOut,
    /// The list is implausibly long.
    #[error("Nova lists more than {MAX_SERVERS} servers of this host")]
    TooMany,
}

impl From<ServersError> for Failure {
    fn from(error: ServersError) -> Self {
        let message = error.to_string();
        match error {
            ServersError::Api(error) => Failure::new(error.kind(), message).caused_by(chain(&error)),
            ServersError::TimedOut => Failure::unreachable(message),
            ServersError::TooMany => Failure::transient(message),
        }
    }
}

/// Returns an error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whether requests pause after a timeout.
fn is_paused(now: Timestamp, timed_out: Option<Timestamp>) -> bool {
    timed_out.is_some() && !is_old(now, timed_out, PAUSE)
}

/// A due request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    All,
    Since(Timestamp),
}

/// The servers of this host.
pub(crate) struct Servers {
    api: Api,
    host: Arc<str>,
    update_interval: Duration,
    cache_expiry: Duration,
    /// Nova is the only source of instances: flavors and images are needed too.
    is_only_source: bool,
    /// Locked during requests.
    state: tokio::sync::Mutex<State>,
    last: Mutex<Option<Arc<ServerList>>>,
    /// Whether the use of the previous list was logged.
    is_stale: AtomicBool,
    /// Whether missing images were logged.
    has_warned_images: AtomicBool,
    /// Whether the missing servers of this host were logged.
    has_warned_host: AtomicBool,
}

#[derive(Default)]
struct State {
    listed: ServerList,
    /// The time of the last successful request.
    listed_at: Option<Timestamp>,
    /// The time of the last full list; `None` if one is due.
    listed_all: Option<Timestamp>,
    /// The time of the last timeout; `None` after an answer.
    timed_out: Option<Timestamp>,
    /// The same for flavors and images.
    details_timed_out: Option<Timestamp>,
    /// The servers' domains at the last check.
    domains: Vec<Identity>,
}

impl Servers {
    /// Creates an empty list. Flavors and images are requested too if Nova is the only source of instances.
    pub(crate) fn new(api: Api, host: Arc<str>, options: &Options) -> Self {
        Self {
            api,
            host,
            update_interval: options.resource_update_interval.0,
            cache_expiry: options.resource_cache_expiry.0,
            is_only_source: options.instance_discovery_method != Method::LibvirtMetadata,
            state: tokio::sync::Mutex::default(),
            last: Mutex::default(),
            is_stale: AtomicBool::new(false),
            has_warned_images: AtomicBool::new(false),
            has_warned_host: AtomicBool::new(false),
        }
    }

    /// Returns the rate of a call; `None` for one that is not sent with these options, or by this client.
    pub(crate) fn rate(&self, call: &Call) -> Option<CallRate> {
        if *call == SERVERS {
            return Some(CallRate::PerPage(self.api.page_size()));
        }
        let is_detail = *call == FLAVOR || *call == IMAGE;
        (*call == TOKEN || (self.is_only_source && is_detail)).then_some(call.rate)
    }

    /// Returns the servers for the cycle that started at `now`. A domain that has disappeared from `domains` triggers a full
    /// list: the server may have moved to another host, which Nova does not report as a change here.
    ///
    /// # Errors
    ///
    /// There is no list, and there was none before.
    pub(crate) async fn of_cycle(
        &self,
        now: Timestamp,
        until: Instant,
        domains: Option<&Snapshot>,
    ) -> Result<Arc<ServerList>, ServersError> {
        let Ok(mut state) = timeout_at(until, self.state.lock()).await else {
            // Another cycle's request takes longer than this cycle may wait.
            return self.last.lock().clone().ok_or(ServersError::TimedOut);
        };
        if state.listed_at.is_none() && !self.is_only_source && is_paused(now, state.timed_out) {
            return Err(ServersError::TimedOut);
        }
        // A disappeared domain requires a full list.
        if domains.is_some_and(|domains| state.domains.iter().any(|one| domains.find(one).is_none())) {
            state.listed_all = None;
        }
        if let Some(due) = self.due(&state, now) {
            let refreshed = timeout_at(until, self.refresh(&mut state, due, now)).await;
            state.timed_out = refreshed.is_err().then_some(now);
            match refreshed.unwrap_or(Err(ServersError::TimedOut)) {
                Ok(()) => {
                    if self.is_stale.swap(false, Ordering::Relaxed) {
                        events::servers_listed_again();
                    }
                }
                Err(error) => self.failed(&state, error)?,
            }
        }
        if let Some(domains) = domains {
            let servers = state.listed.servers.values();
            let identities = servers.map(|server| server.identity());
            state.domains = identities.filter(|one| domains.find(one).is_some()).collect();
            self.check_host_name(&state.listed, domains);
        }
        if self.is_only_source && !is_paused(now, state.details_timed_out) {
            // Missing flavors and images are reported for the servers that refer to them.
            let refreshed = timeout_at(until, self.details(&mut state.listed, now)).await;
            state.details_timed_out = refreshed.is_err().then_some(now);
            self.report_missing_images(&state.listed);
        }
        let listed = Arc::new(state.listed.clone());
        *self.last.lock() = Some(listed.clone());
        Ok(listed)
    }

    /// Returns the due request of the cycle that started at `now`.
    fn due(&self, state: &State, now: Timestamp) -> Option<Due> {
        let Some(listed_at) = state.listed_at else {
            return Some(Due::All);
        };
        // A cycle of another schedule with the same or a slightly later start has already sent the request.
        if age(listed_at, now).is_some_and(|later| later <= OVERLAP) {
            return None;
        }
        // A time further in the future means that the wall clock was set back.
        let Some(age) = age(now, listed_at) else {
            return Some(Due::All);
        };
        if age < self.update_interval || is_paused(now, state.timed_out) {
            return None;
        }
        if is_old(now, state.listed_all, self.cache_expiry) {
            return Some(Due::All);
        }
        Some(Due::Since(listed_at))
    }

    async fn refresh(&self, state: &mut State, due: Due, now: Timestamp) -> Result<(), ServersError> {
        let listed = self.list(due).await?;
        let mut servers = match due {
            Due::All => BTreeMap::new(),
            Due::Since(_) => state.listed.servers.clone(),
        };
        for server in listed {
            if server.is_measured_at(&self.host) {
                servers.insert(server.id.clone(), Arc::new(server));
            } else {
                servers.remove(&server.id);
            }
        }
        if servers.len() > MAX_SERVERS {
            state.listed_all = None;
            return Err(ServersError::TooMany);
        }
        state.listed.servers = servers;
        state.listed_at = Some(now);
        if due == Due::All {
            state.listed_all = Some(now);
        }
        Ok(())
    }

    async fn list(&self, due: Due) -> Result<Vec<NovaServer>, ServersError> {
        let since = match due {
            Due::All => None,
            Due::Since(listed_at) => Some(before(listed_at, OVERLAP)),
        };
        let mut listing = self.api.servers(&self.host, since);
        let mut servers = Vec::new();
        while let Some(server) = listing.next().await.map_err(ServersError::Api)? {
            if servers.len() >= MAX_SERVERS {
                return Err(ServersError::TooMany);
            }
            servers.push(server);
        }
        Ok(servers)
    }

    /// Reports a failed request. Without a previous list, the cycle fails.
    fn failed(&self, state: &State, error: ServersError) -> Result<(), ServersError> {
        let Some(listed_at) = state.listed_at else {
            return Err(error);
        };
        if !self.is_stale.swap(true, Ordering::Relaxed) {
            events::server_list_failed(&chain(&error), listed_at);
        }
        Ok(())
    }

    async fn details(&self, listed: &mut ServerList, now: Timestamp) {
        let servers = listed.servers.values();
        let flavors = servers.clone().filter_map(|server| server.flavor_id()).collect();
        let images = servers.filter_map(|server| server.image_id()).collect();
        let flavor = async |id| {
            let flavor = self.api.flavor(id).await?;
            Ok(flavor.unwrap_or_else(|| Flavor::deleted(id)))
        };
        let image = async |id| {
            let image = self.api.image(id).await?;
            Ok(image.unwrap_or_else(|| Image::deleted(id)))
        };
        tokio::join!(
            listed.flavors.refresh(flavors, now, self.cache_expiry, flavor),
            listed.images.refresh(images, now, self.cache_expiry, image),
        );
    }

    /// Logs once if Nova seems to know this host by another name.
    fn check_host_name(&self, listed: &ServerList, domains: &Snapshot) {
        let is_nova_domain = |domain: &&Domain| {
            let definition = domain.definition.as_deref();
            definition.is_some_and(|read| read.as_ref().is_ok_and(|definition| definition.nova.is_some()))
        };
        if !listed.servers.is_empty() {
            return;
        }
        let count = domains.domains.iter().filter(is_nova_domain).count();
        if count > 0 && !self.has_warned_host.swap(true, Ordering::Relaxed) {
            events::no_servers_of_host(&self.host, count);
        }
    }

    fn report_missing_images(&self, listed: &ServerList) {
        let reason = listed.servers.values().find_map(|server| {
            let id = server.image_id()?;
            listed.images.get(id).err()
        });
        match reason {
            None => self.has_warned_images.store(false, Ordering::Relaxed),
            Some(reason) if !self.has_warned_images.swap(true, Ordering::Relaxed) => {
                events::image_unavailable(reason);
            }
            Some(_) => {}
        }
    }
}

impl ServerList {
    /// Returns the flavor of a server.
    ///
    /// # Errors
    ///
    /// Why it is unknown.
    pub(crate) fn flavor(&self, server: &NovaServer) -> Result<&Flavor, String> {
        let Some(id) = server.flavor_id() else {
            return Err("the server has no flavor in Nova's answer".to_owned());
        };
        let flavor = self.flavors.get(id);
        flavor
            .map(AsRef::as_ref)
            .map_err(|reason| format!("the server's flavor is unknown: {reason}"))
    }

    /// Returns the image of a server; `None` if it has none, or it is unknown.
    pub(crate) fn image(&self, server: &NovaServer) -> Option<&Image> {
        let image = self.images.get(server.image_id()?);
        image.ok().map(AsRef::as_ref)
    }
}
