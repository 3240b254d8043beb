//! The servers of this host, by Nova: all of them seldom, and in between those that have changed.
//!
//! A list is made aside and takes the place of the last one when it is whole. One that fails changes nothing: the
//! last one stands, and the next cycle asks again for the same.

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

/// No host has more servers. Where Nova lists more, it lists those of other hosts too: its filter by host is broken.
const MOST: usize = 16_384;

/// Changes are asked for since a time that is this much earlier than that of the last list: the clocks of this host and
/// Nova's differ, and a change is dated before others can see it.
const OVERLAP: Duration = Duration::from_secs(60);

/// Where Nova has not answered in time, and there is a list, cycles go on without it for this time, and likewise without what is not
/// told of flavors and images: what libvirt measures is not to be late in each of them.
const PAUSE: Duration = Duration::from_secs(60);

/// What Nova told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    /// By id.
    pub(crate) servers: BTreeMap<String, Arc<NovaServer>>,
    flavors: Details<Flavor>,
    images: Details<Image>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Nova, or the way to it.
    #[error("Nova does not list the servers of this host")]
    Api(#[source] ApiError),
    /// No answer while the cycle could wait for it.
    #[error("Nova did not list the servers of this host in time")]
    TimedOut,
    /// What it lists cannot be true.
    #[error("Nova lists more than {MOST} servers of this host")]
    TooMany,
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let message = trouble.to_string();
        match trouble {
            Trouble::Api(error) => Failure::new(error.kind(), message).caused_by(chain(&error)),
            Trouble::TimedOut => Failure::unreachable(message),
            Trouble::TooMany => Failure::transient(message),
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whether it is too early to ask again what was not answered in time.
fn is_paused(now: Timestamp, hung: Option<Timestamp>) -> bool {
    hung.is_some() && !is_old(now, hung, PAUSE)
}

/// What is to be asked for.
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
    /// Instances are known by nothing else: flavors and images are wanted too.
    is_only_source: bool,
    /// Held by who asks.
    state: tokio::sync::Mutex<State>,
    last: Mutex<Option<Arc<Listed>>>,
    /// That the last list stands in for one that failed has been said.
    is_stale: AtomicBool,
    /// That images are not told has been said.
    lacks_images: AtomicBool,
    /// That Nova knows of no server here, and libvirt does, has been said.
    has_doubts: AtomicBool,
}

#[derive(Default)]
struct State {
    listed: Listed,
    /// When Nova was asked last with success.
    asked: Option<Timestamp>,
    /// When it was asked last for all; nothing if it is to be.
    asked_all: Option<Timestamp>,
    /// When it did not answer in time; nothing if it has answered since.
    hung: Option<Timestamp>,
    /// The same, of flavors and images.
    details_hung: Option<Timestamp>,
    /// The domains that they had when that was last looked at.
    domains: Vec<Identity>,
}

impl Servers {
    /// Nobody has asked yet. Flavors and images are asked for too where instances are known by nothing else.
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
            lacks_images: AtomicBool::new(false),
            has_doubts: AtomicBool::new(false),
        }
    }

    /// How often a call of these is made; nothing for one that is not made with these options, or not of these.
    pub(crate) fn rate(&self, call: &Call) -> Option<CallRate> {
        if *call == SERVERS {
            return Some(CallRate::PerPage(self.api.page_size()));
        }
        let is_detail = *call == FLAVOR || *call == IMAGE;
        (*call == TOKEN || (self.is_only_source && is_detail)).then_some(call.rate)
    }

    /// The servers, for the cycle that has started at `now`. The domains, if they are known, say whether one of them has
    /// left this host, of which Nova tells only another one's agent.
    ///
    /// # Errors
    ///
    /// There is no list, and has never been one.
    pub(crate) async fn of_cycle(
        &self,
        now: Timestamp,
        until: Instant,
        domains: Option<&Snapshot>,
    ) -> Result<Arc<Listed>, Trouble> {
        let Ok(mut state) = timeout_at(until, self.state.lock()).await else {
            // Another cycle has asked, and waits for longer than this one may.
            return self.last.lock().clone().ok_or(Trouble::TimedOut);
        };
        if state.asked.is_none() && !self.is_only_source && is_paused(now, state.hung) {
            return Err(Trouble::TimedOut);
        }
        // Where a domain has left this host, its server is Nova's to place.
        if domains.is_some_and(|domains| state.domains.iter().any(|one| domains.find(one).is_none())) {
            state.asked_all = None;
        }
        if let Some(due) = self.due(&state, now) {
            let refreshed = timeout_at(until, self.refresh(&mut state, due, now)).await;
            state.hung = refreshed.is_err().then_some(now);
            match refreshed.unwrap_or(Err(Trouble::TimedOut)) {
                Ok(()) => {
                    if self.is_stale.swap(false, Ordering::Relaxed) {
                        events::servers_listed_again();
                    }
                }
                Err(trouble) => self.failed(&state, trouble)?,
            }
        }
        if let Some(domains) = domains {
            let servers = state.listed.servers.values();
            let identities = servers.map(|server| server.identity());
            state.domains = identities.filter(|one| domains.find(one).is_some()).collect();
            self.doubt_the_name(&state.listed, domains);
        }
        if self.is_only_source && !is_paused(now, state.details_hung) {
            // What is not told in time is said of the servers that have it.
            let told = timeout_at(until, self.details(&mut state.listed, now)).await;
            state.details_hung = told.is_err().then_some(now);
            self.say_if_images_lack(&state.listed);
        }
        let listed = Arc::new(state.listed.clone());
        *self.last.lock() = Some(listed.clone());
        Ok(listed)
    }

    /// What is to be asked for in the cycle that has started at `now`.
    fn due(&self, state: &State, now: Timestamp) -> Option<Due> {
        let Some(asked) = state.asked else {
            return Some(Due::All);
        };
        // A cycle of another schedule, which started at the same time or a little later, has asked already.
        if age(asked, now).is_some_and(|later| later <= OVERLAP) {
            return None;
        }
        // Further in the past is a wall clock that was set back.
        let Some(age) = age(now, asked) else {
            return Some(Due::All);
        };
        if age < self.update_interval || is_paused(now, state.hung) {
            return None;
        }
        if is_old(now, state.asked_all, self.cache_expiry) {
            return Some(Due::All);
        }
        Some(Due::Since(asked))
    }

    async fn refresh(&self, state: &mut State, due: Due, now: Timestamp) -> Result<(), Trouble> {
        let told = self.list(due).await?;
        let mut servers = match due {
            Due::All => BTreeMap::new(),
            Due::Since(_) => state.listed.servers.clone(),
        };
        for server in told {
            if server.is_measured_at(&self.host) {
                servers.insert(server.id.clone(), Arc::new(server));
            } else {
                servers.remove(&server.id);
            }
        }
        if servers.len() > MOST {
            state.asked_all = None;
            return Err(Trouble::TooMany);
        }
        state.listed.servers = servers;
        state.asked = Some(now);
        if due == Due::All {
            state.asked_all = Some(now);
        }
        Ok(())
    }

    async fn list(&self, due: Due) -> Result<Vec<NovaServer>, Trouble> {
        let since = match due {
            Due::All => None,
            Due::Since(asked) => Some(before(asked, OVERLAP)),
        };
        let mut listing = self.api.servers(&self.host, since);
        let mut servers = Vec::new();
        while let Some(server) = listing.next().await.map_err(Trouble::Api)? {
            if servers.len() >= MOST {
                return Err(Trouble::TooMany);
            }
            servers.push(server);
        }
        Ok(servers)
    }

    /// Without a list of before, it is the cycle that fails.
    fn failed(&self, state: &State, trouble: Trouble) -> Result<(), Trouble> {
        let Some(asked) = state.asked else {
            return Err(trouble);
        };
        if !self.is_stale.swap(true, Ordering::Relaxed) {
            events::servers_not_listed(&chain(&trouble), asked);
        }
        Ok(())
    }

    async fn details(&self, listed: &mut Listed, now: Timestamp) {
        let servers = listed.servers.values();
        let flavors = servers.clone().filter_map(|server| server.flavor_id()).collect();
        let images = servers.filter_map(|server| server.image_id()).collect();
        let flavor = async |id| {
            let flavor = self.api.flavor(id).await?;
            Ok(flavor.unwrap_or_else(|| Flavor::gone(id)))
        };
        let image = async |id| {
            let image = self.api.image(id).await?;
            Ok(image.unwrap_or_else(|| Image::gone(id)))
        };
        tokio::join!(
            listed.flavors.learn(flavors, now, self.cache_expiry, flavor),
            listed.images.learn(images, now, self.cache_expiry, image),
        );
    }

    /// Says once if it seems that Nova has this host under another name.
    fn doubt_the_name(&self, listed: &Listed, domains: &Snapshot) {
        let is_novas = |domain: &&Domain| {
            let definition = domain.definition.as_deref();
            definition.is_some_and(|read| read.as_ref().is_ok_and(|definition| definition.nova.is_some()))
        };
        if !listed.servers.is_empty() {
            return;
        }
        let count = domains.domains.iter().filter(is_novas).count();
        if count > 0 && !self.has_doubts.swap(true, Ordering::Relaxed) {
            events::no_server_here(&self.host, count);
        }
    }

    fn say_if_images_lack(&self, listed: &Listed) {
        let reason = listed.servers.values().find_map(|server| {
            let id = server.image_id()?;
            listed.images.get(id).err()
        });
        match reason {
            None => self.lacks_images.store(false, Ordering::Relaxed),
            Some(reason) if !self.lacks_images.swap(true, Ordering::Relaxed) => {
                events::image_not_told(reason);
            }
            Some(_) => {}
        }
    }
}

impl Listed {
    /// The flavor of a server.
    ///
    /// # Errors
    ///
    /// Why it is not known.
    pub(crate) fn flavor(&self, server: &NovaServer) -> Result<&Flavor, String> {
        let Some(id) = server.flavor_id() else {
            return Err("Nova tells no flavor of it".to_owned());
        };
        let flavor = self.flavors.get(id);
        flavor
            .map(AsRef::as_ref)
            .map_err(|reason| format!("its flavor is not known: {reason}"))
    }

    /// The image of a server; nothing if it has none, or it is not known.
    pub(crate) fn image(&self, server: &NovaServer) -> Option<&Image> {
        let image = self.images.get(server.image_id()?);
        image.ok().map(AsRef::as_ref)
    }
}
