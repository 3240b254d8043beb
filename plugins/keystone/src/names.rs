//! The names of projects and users, for samples.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use nephoscope_openstack::{ApiError, KEYSTONE, OPENSTACK, Options, Service, Session, TOKEN};
use nephoscope_plugin::{
    BuildContext, BuildError, CallDef, CallRate, Identity, IdentityKind, IdentityNames, NamesPlugin,
    Registration, async_trait, register,
};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use crate::{FAMILY, get};

/// How long a name is cached, and how long its absence is.
const CACHE_TTL: Duration = Duration::from_secs(CACHE_SECONDS as u64);
const CACHE_SECONDS: u32 = 600;

/// The pause after a failed request: meanwhile samples have the cached names, or none.
const BACKOFF: Duration = Duration::from_secs(30);

/// How long samples wait for names.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The maximum number of cached names; the least recently requested ones are evicted.
const MAX_NAMES: usize = 50_000;

/// How many names are evicted at once.
const EVICTED: usize = MAX_NAMES / 8;

const fn one(path: &'static str, kind: IdentityKind) -> CallDef {
    get(path).rate(CallRate::PerIdentity(kind, CACHE_SECONDS))
}

static PROJECT: CallDef = one("/v3/projects/{project}", IdentityKind::Project);
static USER: CallDef = one("/v3/users/{user}", IdentityKind::User);

register!(Registration::Names(
    NamesPlugin::new("identity_names", FAMILY, build)
        .namespaces(&["central", "compute"])
        .calls(&[PROJECT, USER, TOKEN])
));

fn build(context: &BuildContext) -> Result<Option<Arc<dyn IdentityNames>>, BuildError> {
    let openstack = context.family(OPENSTACK);
    let options: Options = openstack.options()?;
    if !options.identity_name_discovery {
        // Without the option, no session and no credentials are needed.
        return Ok(None);
    }
    let keystone = Session::of(context)?.service(&KEYSTONE);
    Ok(Some(Arc::new(Names::new(keystone))))
}

struct Names {
    keystone: Service,
    known: Mutex<HashMap<Identity, Known>>,
    /// Locked during requests: a waiting caller uses the names that the previous one has found.
    request_lock: tokio::sync::Mutex<()>,
    backoff_until: Mutex<Option<Instant>>,
    /// Whether the last request failed; changes are logged.
    failing: AtomicBool,
}

/// A cached answer of Keystone.
#[derive(Debug, Clone)]
struct Known {
    /// `None`: Keystone does not know the id.
    name: Option<Arc<str>>,
    requested: Instant,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Project {
    project: Named,
}

#[derive(Deserialize)]
struct User {
    user: Named,
}

#[async_trait]
impl IdentityNames for Names {
    async fn names(&self, identities: &[Identity]) -> Vec<Option<Arc<str>>> {
        if !self.unknown(identities).is_empty() && !self.is_backed_off() {
            match timeout(TIME_LIMIT, self.request(identities)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.failed(&error.to_string()),
                Err(_) => self.failed(&format!("no answer within {} s", TIME_LIMIT.as_secs())),
            }
        }
        let known = self.known.lock();
        // An expired name is better than none.
        let name = |identity| known.get(identity).and_then(|known: &Known| known.name.clone());
        identities.iter().map(name).collect()
    }
}

impl Names {
    fn new(keystone: Service) -> Self {
        Self {
            keystone,
            known: Mutex::default(),
            request_lock: tokio::sync::Mutex::default(),
            backoff_until: Mutex::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// Returns the identities that are not cached, or whose cached names have expired.
    fn unknown(&self, identities: &[Identity]) -> Vec<Identity> {
        let known = self.known.lock();
        let is_fresh = |known: &Known| known.requested.elapsed() < CACHE_TTL;
        let unknown = identities
            .iter()
            .filter(|identity| !known.get(*identity).is_some_and(is_fresh));
        unknown.cloned().collect()
    }

    /// Requests the unknown names; answers before an error are cached.
    async fn request(&self, identities: &[Identity]) -> Result<(), ApiError> {
        let _lock = self.request_lock.lock().await;
        if self.is_backed_off() {
            return Ok(());
        }
        let unknown = stream::iter(self.unknown(identities));
        let answers = unknown.map(|identity| async move { (self.name(&identity).await, identity) });
        let mut answers = std::pin::pin!(answers.buffer_unordered(self.keystone.concurrency()));
        while let Some((name, identity)) = answers.next().await {
            self.store(identity, name?);
        }
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("names of projects and users are available from Keystone again");
        }
        Ok(())
    }

    /// Requests a name from Keystone.
    async fn name(&self, identity: &Identity) -> Result<Option<Arc<str>>, ApiError> {
        let answer = match identity {
            Identity::Project(id) => {
                let request = self.keystone.request(&PROJECT).segment(&**id);
                request.document::<Project>().await.map(|answer| answer.project)
            }
            Identity::User(id) => {
                let request = self.keystone.request(&USER).segment(&**id);
                request.document::<User>().await.map(|answer| answer.user)
            }
            // A kind of a later version of the interface.
            _ => return Ok(None),
        };
        match answer {
            Ok(named) => Ok(Some(named.name.into())),
            // The id is unknown, or its answer is invalid; the next ids are not affected.
            Err(ApiError::Status { status: 404, .. } | ApiError::Answer { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn store(&self, identity: Identity, name: Option<Arc<str>>) {
        let requested = Instant::now();
        let mut known = self.known.lock();
        if known.len() >= MAX_NAMES {
            let mut times: Vec<Instant> = known.values().map(|known| known.requested).collect();
            times.sort_unstable();
            let oldest = times.get(EVICTED).copied().unwrap_or(requested);
            known.retain(|_, known| known.requested > oldest);
        }
        known.insert(identity, Known { name, requested });
    }

    fn is_backed_off(&self) -> bool {
        self.backoff_until
            .lock()
            .is_some_and(|until| Instant::now() < until)
    }

    fn failed(&self, reason: &str) {
        *self.backoff_until.lock() = Some(Instant::now() + BACKOFF);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                reason,
                "cannot get names of projects and users from Keystone; samples have only the cached names"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use nephoscope_cloud::{Cloud, Fault, FaultKind, Service as Of, Size};
    use nephoscope_plugin::{BlockingPool, CallCounts, Families};
    use serde_json::{Value, json};

    fn built(options: Value) -> Result<Option<Arc<dyn IdentityNames>>, BuildError> {
        let families = Families::new(
            BTreeMap::from([(OPENSTACK.to_owned(), options)]),
            CallCounts::default(),
        );
        build(&BuildContext::new(
            "node1".into(),
            FAMILY,
            families,
            BlockingPool::default(),
        ))
    }

    fn names_of(cloud: &Cloud) -> Arc<dyn IdentityNames> {
        let mut options = cloud.options();
        options["identity_name_discovery"] = json!(true);
        options["retries"] = json!(0);
        built(options).unwrap().unwrap()
    }

    fn project(number: usize) -> Identity {
        Identity::Project(format!("a{number:031x}").into())
    }

    fn user(number: usize) -> Identity {
        Identity::User(format!("b{number:031x}").into())
    }

    async fn names_of_all(names: &Arc<dyn IdentityNames>, identities: &[Identity]) -> String {
        let names = names.names(identities).await;
        let shown: Vec<&str> = names.iter().map(|name| name.as_deref().unwrap_or("-")).collect();
        shown.join(" ")
    }

    async fn after(time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn names_and_their_absence_are_requested_once_per_interval() {
        let cloud = Cloud::start(Size::of(3)).await;
        let names = names_of(&cloud);
        let all = [project(1), user(2), Identity::Project("gone".into()), project(0)];
        for _ in 0..3 {
            assert_eq!(names_of_all(&names, &all).await, "project-1 user-2 - project-0");
        }
        let once = "keystone GET /v3/projects/{id} 200 x 2\n\
                    keystone GET /v3/projects/{id} 404 x 1\n\
                    keystone GET /v3/users/{id} 200 x 1\n\
                    keystone POST /v3/auth/tokens 201 x 1\n";
        assert_eq!(cloud.counted(), once);
        after(CACHE_TTL).await;
        assert_eq!(names_of_all(&names, &[project(1)]).await, "project-1");
        assert_eq!(cloud.requests(Of::Keystone), 6);
    }

    #[tokio::test]
    async fn concurrent_callers_send_one_request() {
        let cloud = Cloud::start(Size::of(3)).await;
        let names = names_of(&cloud);
        let identities = [project(1)];
        let all = (0..10).map(|_| names.names(&identities));
        futures::future::join_all(all).await;
        assert_eq!(cloud.requests(Of::Keystone), 2, "the token and the project");
    }

    #[tokio::test]
    async fn requests_back_off_after_a_failure_and_cached_names_remain() {
        let cloud = Cloud::start(Size::of(3)).await;
        let names = names_of(&cloud);
        assert_eq!(names_of_all(&names, &[project(1)]).await, "project-1");
        after(CACHE_TTL).await;
        cloud.forget_counts();
        cloud.fault(Fault::of(Of::Keystone, FaultKind::Status(500)));
        for _ in 0..5 {
            assert_eq!(
                names_of_all(&names, &[project(1), project(2)]).await,
                "project-1 -"
            );
        }
        assert!(cloud.requests(Of::Keystone) <= 2, "{}", cloud.counted());
        cloud.heal();
        after(BACKOFF).await;
        assert_eq!(
            names_of_all(&names, &[project(1), project(2)]).await,
            "project-1 project-2"
        );
    }

    #[tokio::test]
    async fn a_hanging_keystone_delays_samples_by_the_time_limit_only() {
        let cloud = Cloud::start(Size::of(3)).await;
        let names = names_of(&cloud);
        assert_eq!(names_of_all(&names, &[project(1)]).await, "project-1");
        cloud.fault(Fault::of(Of::Keystone, FaultKind::Hang));
        let began = Instant::now();
        tokio::time::pause();
        assert_eq!(
            names_of_all(&names, &[project(1), project(2)]).await,
            "project-1 -"
        );
        assert_eq!(began.elapsed().as_secs(), TIME_LIMIT.as_secs());
    }

    #[tokio::test]
    async fn the_cache_is_bounded() {
        let cloud = Cloud::start(Size::of(1)).await;
        let mut options = cloud.options();
        options["identity_name_discovery"] = json!(true);
        let families = Families::new(
            BTreeMap::from([(OPENSTACK.to_owned(), options)]),
            CallCounts::default(),
        );
        let context = BuildContext::new("node1".into(), FAMILY, families, BlockingPool::default());
        let names = Names::new(Session::of(&context).unwrap().service(&KEYSTONE));
        for number in 0..MAX_NAMES + 10 {
            names.store(project(number), None);
        }
        let known = names.known.lock();
        assert!(known.len() <= MAX_NAMES, "{}", known.len());
        assert!(known.contains_key(&project(MAX_NAMES + 9)), "the newest remain");
    }

    #[test]
    fn without_the_option_no_names_are_requested() {
        assert!(built(json!({})).unwrap().is_none());
    }
}
