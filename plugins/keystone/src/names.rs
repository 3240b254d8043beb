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

/// How long a name is believed, and that there is none.
const KEEP: Duration = Duration::from_secs(KEEP_SECONDS as u64);
const KEEP_SECONDS: u32 = 600;

/// How long nothing is asked after Keystone could not say: samples go on without names meanwhile, or with those that
/// are known from before.
const REST: Duration = Duration::from_secs(30);

/// How long samples wait for names.
const PATIENCE: Duration = Duration::from_secs(5);

/// No more names are remembered: those asked for longest ago are forgotten first.
const MOST: usize = 50_000;

/// How many are forgotten at once.
const FORGOTTEN: usize = MOST / 8;

const fn one(path: &'static str, kind: IdentityKind) -> CallDef {
    get(path).rate(CallRate::PerIdentity(kind, KEEP_SECONDS))
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
        // An agent without OpenStack does not even look for credentials.
        return Ok(None);
    }
    let keystone = Session::of(context)?.service(&KEYSTONE);
    Ok(Some(Arc::new(Names::new(keystone))))
}

struct Names {
    keystone: Service,
    known: Mutex<HashMap<Identity, Known>>,
    /// Held by who asks: what one has found, the next need not ask for.
    asking: tokio::sync::Mutex<()>,
    rest_until: Mutex<Option<Instant>>,
    /// Whether Keystone could not say the last time: said in the log when it changes.
    failing: AtomicBool,
}

/// What Keystone said.
#[derive(Debug, Clone)]
struct Known {
    /// `None`: it knows nobody of that id.
    name: Option<Arc<str>>,
    asked: Instant,
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
        if !self.unknown(identities).is_empty() && !self.rests() {
            match timeout(PATIENCE, self.ask(identities)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.failed(&error.to_string()),
                Err(_) => self.failed(&format!("no answer within {} s", PATIENCE.as_secs())),
            }
        }
        let known = self.known.lock();
        // A name from before is better than none.
        let name = |identity| known.get(identity).and_then(|known: &Known| known.name.clone());
        identities.iter().map(name).collect()
    }
}

impl Names {
    fn new(keystone: Service) -> Self {
        Self {
            keystone,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            rest_until: Mutex::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// Those of which nothing is known, or not lately.
    fn unknown(&self, identities: &[Identity]) -> Vec<Identity> {
        let known = self.known.lock();
        let is_fresh = |known: &Known| known.asked.elapsed() < KEEP;
        let unknown = identities
            .iter()
            .filter(|identity| !known.get(*identity).is_some_and(is_fresh));
        unknown.cloned().collect()
    }

    /// Asks for those that are unknown; what came before an error is remembered.
    async fn ask(&self, identities: &[Identity]) -> Result<(), ApiError> {
        let _asking = self.asking.lock().await;
        if self.rests() {
            return Ok(());
        }
        let unknown = stream::iter(self.unknown(identities));
        let answers = unknown.map(|identity| async move { (self.name(&identity).await, identity) });
        let mut answers = std::pin::pin!(answers.buffer_unordered(self.keystone.concurrency()));
        while let Some((name, identity)) = answers.next().await {
            self.remember(identity, name?);
        }
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("Keystone says the names of projects and users again");
        }
        Ok(())
    }

    /// The name that Keystone says.
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
            // A kind that later versions of the interface know.
            _ => return Ok(None),
        };
        match answer {
            Ok(named) => Ok(Some(named.name.into())),
            // Nobody of that id; or an answer about it that cannot be read, which the next is not to suffer from.
            Err(ApiError::Status { status: 404, .. } | ApiError::Answer { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remember(&self, identity: Identity, name: Option<Arc<str>>) {
        let asked = Instant::now();
        let mut known = self.known.lock();
        if known.len() >= MOST {
            let mut times: Vec<Instant> = known.values().map(|known| known.asked).collect();
            times.sort_unstable();
            let oldest = times.get(FORGOTTEN).copied().unwrap_or(asked);
            known.retain(|_, known| known.asked > oldest);
        }
        known.insert(identity, Known { name, asked });
    }

    fn rests(&self) -> bool {
        self.rest_until.lock().is_some_and(|until| Instant::now() < until)
    }

    fn failed(&self, reason: &str) {
        *self.rest_until.lock() = Some(Instant::now() + REST);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                reason,
                "Keystone does not say the names of projects and users: samples have those that are known"
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

    async fn asked(names: &Arc<dyn IdentityNames>, identities: &[Identity]) -> String {
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
    async fn names_are_asked_for_once_in_a_while_and_so_is_that_there_is_none() {
        let cloud = Cloud::start(Size::of(3)).await;
        let names = names_of(&cloud);
        let all = [project(1), user(2), Identity::Project("gone".into()), project(0)];
        for _ in 0..3 {
            assert_eq!(asked(&names, &all).await, "project-1 user-2 - project-0");
        }
        let once = "keystone GET /v3/projects/{id} 200 x 2\n\
                    keystone GET /v3/projects/{id} 404 x 1\n\
                    keystone GET /v3/users/{id} 200 x 1\n\
                    keystone POST /v3/auth/tokens 201 x 1\n";
        assert_eq!(cloud.counted(), once);
        after(KEEP).await;
        assert_eq!(asked(&names, &[project(1)]).await, "project-1");
        assert_eq!(cloud.requests(Of::Keystone), 6);
    }

    #[tokio::test]
    async fn many_that_ask_at_once_ask_once() {
        let cloud = Cloud::start(Size::of(3)).await;
        let names = names_of(&cloud);
        let identities = [project(1)];
        let all = (0..10).map(|_| names.names(&identities));
        futures::future::join_all(all).await;
        assert_eq!(cloud.requests(Of::Keystone), 2, "the token and the project");
    }

    #[tokio::test]
    async fn a_keystone_that_fails_is_left_alone_and_known_names_stay() {
        let cloud = Cloud::start(Size::of(3)).await;
        let names = names_of(&cloud);
        assert_eq!(asked(&names, &[project(1)]).await, "project-1");
        after(KEEP).await;
        cloud.forget_counts();
        cloud.fault(Fault::of(Of::Keystone, FaultKind::Status(500)));
        for _ in 0..5 {
            assert_eq!(asked(&names, &[project(1), project(2)]).await, "project-1 -");
        }
        assert!(cloud.requests(Of::Keystone) <= 2, "{}", cloud.counted());
        cloud.heal();
        after(REST).await;
        assert_eq!(
            asked(&names, &[project(1), project(2)]).await,
            "project-1 project-2"
        );
    }

    #[tokio::test]
    async fn a_keystone_that_hangs_holds_samples_for_seconds_only() {
        let cloud = Cloud::start(Size::of(3)).await;
        let names = names_of(&cloud);
        assert_eq!(asked(&names, &[project(1)]).await, "project-1");
        cloud.fault(Fault::of(Of::Keystone, FaultKind::Hang));
        let began = Instant::now();
        tokio::time::pause();
        assert_eq!(asked(&names, &[project(1), project(2)]).await, "project-1 -");
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_remembered() {
        let cloud = Cloud::start(Size::of(1)).await;
        let mut options = cloud.options();
        options["identity_name_discovery"] = json!(true);
        let families = Families::new(
            BTreeMap::from([(OPENSTACK.to_owned(), options)]),
            CallCounts::default(),
        );
        let context = BuildContext::new("node1".into(), FAMILY, families, BlockingPool::default());
        let names = Names::new(Session::of(&context).unwrap().service(&KEYSTONE));
        for number in 0..MOST + 10 {
            names.remember(project(number), None);
        }
        let known = names.known.lock();
        assert!(known.len() <= MOST, "{}", known.len());
        assert!(known.contains_key(&project(MOST + 9)), "the newest are there");
    }

    #[test]
    fn without_the_option_nobody_is_asked() {
        assert!(built(json!({})).unwrap().is_none());
    }
}
