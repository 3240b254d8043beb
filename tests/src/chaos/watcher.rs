//! Watches etcd through each of its nodes; the first node that shows a change determines its time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, EventType, WatchOptions};
use nephoscope_pool::protocol::{Content, Key, Prefix, Revision, Value};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::clock::now;
use crate::oracle::{Cycle, GaveUp, Gone, Joined, Plan, PlanMember};

/// The timeout of the start of a watch.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause before a node that did not answer is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// All changes seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Plans in the order in which they were written.
    pub plans: Vec<Plan>,
    /// Members that joined.
    pub joined: Vec<Joined>,
    /// Members that are gone.
    pub gone: Vec<Gone>,
    /// Units that were given up.
    pub gave_up: Vec<GaveUp>,
    /// The present members, by id.
    pub members: BTreeMap<String, Standing>,
    /// How often etcd was wiped.
    life: usize,
    /// The revision of the last change of each key.
    revisions: HashMap<Vec<u8>, i64>,
}

/// A member's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// The incarnation.
    pub incarnation: String,
    /// Its units on all schedules.
    pub units: BTreeSet<String>,
    /// Whether it is leaving.
    pub leaving: bool,
}

/// A watcher, until it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    shared: Arc<(Mutex<Seen>, Condvar)>,
    /// Dropping it ends the thread.
    _alive: watch::Sender<()>,
}

impl Watcher {
    /// Watches the keys with a prefix on the nodes at these URLs.
    pub(super) fn start(urls: Vec<String>, prefix: String) -> Self {
        let shared = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let (alive, mut dropped) = watch::channel(());
        let into = shared.clone();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let nodes = urls.into_iter().map(|url| follow(url, &prefix, &into));
                tokio::select! {
                    _ = futures::future::join_all(nodes) => {}
                    _ = dropped.changed() => {}
                }
            });
        };
        thread::Builder::new()
            .name("watcher".to_owned())
            .spawn(run)
            .expect("a thread can be started");
        Self {
            shared,
            _alive: alive,
        }
    }

    /// Reads the changes so far.
    pub(super) fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.shared.0.lock())
    }

    /// Waits for a change, at most this long.
    pub(super) fn wait(&self, time: Duration) {
        self.shared.1.wait_for(&mut self.shared.0.lock(), time);
    }

    /// Must be called between the end of etcd and its empty restart.
    pub(super) fn emptied(&self) {
        let mut seen = self.shared.0.lock();
        let at = now();
        let members = std::mem::take(&mut seen.members);
        let gone = members.into_values().map(|standing| Gone {
            incarnation: standing.incarnation,
            at,
        });
        seen.gone.extend(gone);
        seen.revisions.clear();
        seen.life += 1;
    }

    /// Returns all changes, at the end.
    pub(super) fn take(self) -> Seen {
        std::mem::take(&mut self.shared.0.lock())
    }
}

/// Watches one node until the end.
async fn follow(url: String, prefix: &str, shared: &(Mutex<Seen>, Condvar)) {
    let mut life = shared.0.lock().life;
    let mut revision = 0;
    loop {
        let options = ConnectOptions::new().with_connect_timeout(PATIENCE);
        let begun = timeout(PATIENCE, async {
            let mut client = Client::connect([&url], Some(options)).await?;
            let options = WatchOptions::new()
                .with_prefix()
                .with_start_revision(revision + 1);
            client.watch(prefix, Some(options)).await
        });
        if let Ok(Ok(mut changes)) = begun.await {
            while let Ok(Some(change)) = changes.message().await {
                let mut seen = shared.0.lock();
                if change.canceled() || seen.life != life {
                    break;
                }
                for event in change.events() {
                    let Some(entry) = event.kv() else { continue };
                    revision = revision.max(entry.mod_revision());
                    let deleted = event.event_type() == EventType::Delete;
                    let value = (!deleted).then(|| entry.value());
                    seen.change(prefix, entry.key(), entry.mod_revision(), value);
                }
                drop(seen);
                shared.1.notify_all();
            }
        }
        let present = shared.0.lock().life;
        if present != life {
            life = present;
            revision = 0;
        }
        sleep(PAUSE).await;
    }
}

impl Seen {
    /// Applies a write or deletion of a key; another node may have shown it already.
    fn change(&mut self, prefix: &str, key: &[u8], revision: i64, value: Option<&[u8]>) {
        let known = self.revisions.entry(key.to_owned()).or_default();
        if *known >= revision {
            return;
        }
        *known = revision;
        let entry = Prefix::new(prefix).entry(key, value, Revision::NONE, Revision(revision));
        let entry = entry.expect("agents write keys of the protocol");
        let at = now();
        match (entry.key, entry.content) {
            (Key::Member(id), Content::Value(Value::Member(member))) => {
                let standing = Standing {
                    incarnation: member.incarnation.to_string(),
                    units: member
                        .schedules
                        .values()
                        .flatten()
                        .map(ToString::to_string)
                        .collect(),
                    leaving: member.leaving,
                };
                let id = id.to_string();
                let incarnation = standing.incarnation.clone();
                let before = self.members.insert(id.clone(), standing);
                if before
                    .as_ref()
                    .is_none_or(|before| before.incarnation != incarnation)
                {
                    self.gone.extend(before.map(|before| Gone {
                        incarnation: before.incarnation,
                        at,
                    }));
                    self.joined.push(Joined {
                        agent: id,
                        incarnation,
                        at,
                    });
                }
            }
            (Key::Member(id), Content::Deleted) => {
                let before = self.members.remove(id.as_str());
                self.gone.extend(before.map(|before| Gone {
                    incarnation: before.incarnation,
                    at,
                }));
            }
            (Key::Plan(schedule), Content::Value(Value::Plan(plan))) => {
                let members = plan.members.iter().map(|member| PlanMember {
                    agent: member.id.to_string(),
                    incarnation: member.incarnation.to_string(),
                    units: member.units.iter().map(ToString::to_string).collect(),
                });
                self.plans.push(Plan {
                    cycle: Cycle {
                        schedule: schedule.as_str().to_owned(),
                        start: plan.start.as_millis(),
                    },
                    at,
                    members: members.collect(),
                });
            }
            (Key::GiveUps(schedule, incarnation), Content::Value(Value::GiveUps(given))) => {
                for (start, units) in given.cycles {
                    for unit in units {
                        // An earlier one is kept: the oracle uses the earliest.
                        self.gave_up.push(GaveUp {
                            incarnation: incarnation.to_string(),
                            cycle: Cycle {
                                schedule: schedule.as_str().to_owned(),
                                start: start.as_millis(),
                            },
                            unit: unit.to_string(),
                            at,
                        });
                    }
                }
            }
            (key, Content::Invalid(invalid)) => panic!("an agent wrote an invalid {key:?}: {invalid}"),
            _ => {}
        }
    }
}
