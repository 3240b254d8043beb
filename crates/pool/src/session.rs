//! One membership, or an attempt at one: its leases and its watches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::BootTime;
use tokio::time::{Instant, sleep, sleep_until as sleep_until_monotonic};
use uuid::Uuid;

use crate::clock::sleep_until;
use crate::etcd::{Beat, Follow, Heart, LeaseId, News, StoreError};
use crate::events;
use crate::memory::FormerMember;
use crate::protocol::{self, Event, Incarnation, Prefix, Request, record_ttl};
use crate::reading::{changed, snapshot};
use crate::shared::{Attempt, Leases, Shared};

/// The keepalives per TTL of a lease: two of them may be lost.
const BEATS: u32 = 3;

/// The pause after a failed keepalive.
const BEAT_AGAIN: Duration = Duration::from_millis(200);

/// The interval at which the health of etcd is read.
const HEALTH: Duration = Duration::from_secs(60);

/// The number of failed attempts to watch in a row after which etcd counts as lost: the first one is the broken watch.
const LOST_AFTER: u32 = 2;

/// An attempt to join, and the resulting membership.
pub(super) struct Session {
    shared: Arc<Shared>,
    number: u64,
    prefix: Prefix,
}

/// The leases and watches of a membership.
struct Ground {
    leases: Leases,
    record_ttl: Duration,
    sent: BootTime,
    follow: Follow,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, number: u64, prefix: Prefix) -> Self {
        Self {
            shared,
            number,
            prefix,
        }
    }

    /// Joins `after` a pause, then maintains the leases and watches until it is aborted.
    pub(super) async fn run(self, after: Duration) {
        // Agents that failed together must not come back together: the pause is shortened by up to a quarter.
        let spread = f64::from(Uuid::new_v4().as_u128() as u16) / f64::from(u16::MAX) / 4.0;
        sleep(after.mul_f64(1.0 - spread)).await;
        let ground = match self.join().await {
            Ok(ground) => ground,
            Err(error) => {
                if lost(&error) {
                    self.tell(Event::StoreLost);
                }
                self.shared.tried(Attempt::Join, Err::<(), _>(error));
                self.tell(Event::Failed(Request::Join));
                return;
            }
        };
        self.shared.tried(Attempt::Join, Ok(()));
        let Ground {
            leases,
            record_ttl,
            sent,
            follow,
        } = ground;
        tokio::join!(
            self.keep_presence(leases.presence, sent),
            self.keep_records(leases, record_ttl),
            self.follow(follow),
            self.look_after_etcd(),
        );
    }

    fn tell(&self, event: Event) {
        self.shared.step_of(Some(self.number), event);
    }

    /// Revokes the previous leases, requests new ones, and opens the watches.
    async fn join(&self) -> Result<Ground, StoreError> {
        let (store, memory) = (&self.shared.store, self.shared.options.memory.as_deref());
        let ttl = self.shared.options.agent.lease_ttl;
        let sent = BootTime::now();
        let (presence, _) = store.grant(ttl).await?;
        // The old key exists under this agent's id, and blocks the new one until its lease ends.
        let remembered = self.remembered(memory).await;
        for former in self.shared.former().into_iter().chain(remembered) {
            store.revoke(former).await?;
        }
        self.shared.former_is_ended();
        let record_ttl = self.record_ttl();
        let (record, record_ttl) = self.record_lease(record_ttl).await?;
        let leases = Leases { presence, record };
        let incarnation = Incarnation(Uuid::new_v4().as_u128());
        if let Some(path) = memory {
            let member = FormerMember {
                id: self.shared.options.agent.id.to_string(),
                lease: presence.0,
                incarnation: incarnation.to_string(),
                cluster: store.cluster(),
            };
            if let Err(error) = member.write(path).await {
                events::not_remembered(&error);
            }
        }
        self.shared.set_leases(self.number, leases);
        let mut follow = self.watches();
        let found = loop {
            match follow.next().await {
                Some(News::Snapshot(found)) => break found,
                Some(News::Broken(error)) => return Err(error),
                Some(News::Changes(_) | News::Resumed) => {}
                None => {
                    return Err(StoreError::Unreachable {
                        reason: "the agent is stopping".to_owned(),
                    });
                }
            }
        };
        self.tell(Event::Session(protocol::Session {
            incarnation,
            sent,
            snapshot: snapshot(&self.prefix, found.revision, found.entries),
        }));
        Ok(Ground {
            leases,
            record_ttl,
            sent,
            follow,
        })
    }

    /// Returns the presence lease of the last stored membership: of this process, or of a killed one.
    async fn remembered(&self, memory: Option<&Path>) -> Option<LeaseId> {
        let remembered = match FormerMember::read(memory?).await {
            Ok(remembered) => remembered?,
            Err(error) => {
                events::not_remembered(&error);
                return None;
            }
        };
        remembered.lease_in(self.shared.store.cluster())
    }

    /// Returns the required TTL of records.
    fn record_ttl(&self) -> Duration {
        let wait = self.shared.options.agent.takeover_wait();
        record_ttl(self.shared.longest_interval(), wait)
    }

    async fn record_lease(&self, ttl: Duration) -> Result<(LeaseId, Duration), StoreError> {
        self.shared.store.grant(ttl).await
    }

    fn watches(&self) -> Follow {
        let (members, plans, give_ups) = (self.prefix.members(), self.prefix.plans(), self.prefix.give_ups());
        let prefixes = [members.as_bytes(), plans.as_bytes(), give_ups.as_bytes()];
        self.shared.store.follow(&prefixes)
    }

    /// Keeps the presence lease alive, and reports each acknowledgement.
    async fn keep_presence(&self, lease: LeaseId, sent: BootTime) {
        let period = self.shared.options.agent.lease_ttl / BEATS;
        let mut heart = Heart::new(self.shared.store.clone(), lease);
        let mut next = sent.plus(period);
        loop {
            let asked = tokio::select! {
                () = sleep_until(next) => false,
                () = self.shared.ask.notified() => true,
            };
            let beat = heart.beat().await;
            match &beat {
                Ok(Beat::Alive { sent }) => {
                    let sent = BootTime::after_boot(*sent);
                    next = sent.plus(period);
                    self.tell(Event::KeptAlive { sent });
                }
                Ok(Beat::Gone) | Err(StoreError::AnotherHistory { .. }) => {
                    self.tell(Event::LeaseGone);
                    // A new session starts.
                    return;
                }
                Err(_) => {
                    next = BootTime::now().plus(BEAT_AGAIN);
                    if asked {
                        self.tell(Event::Failed(Request::AskLease));
                    }
                }
            }
            self.shared.tried(Attempt::KeepAlive, beat);
        }
    }

    /// Keeps the record lease alive, and replaces it if it is gone or too short.
    async fn keep_records(&self, mut leases: Leases, mut ttl: Duration) {
        let mut heart = Heart::new(self.shared.store.clone(), leases.record);
        let mut next = Instant::now() + ttl / BEATS;
        loop {
            tokio::select! {
                () = sleep_until_monotonic(next) => {}
                () = self.shared.longer.notified() => {}
            }
            let wanted = self.record_ttl();
            let beat = heart.beat().await;
            let gone = matches!(beat, Ok(Beat::Gone) | Err(StoreError::AnotherHistory { .. }));
            if beat.is_err() && !gone {
                next = Instant::now() + BEAT_AGAIN * 10;
                continue;
            }
            if gone || wanted > ttl {
                match self.record_lease(wanted).await {
                    Ok((lease, granted)) => {
                        ttl = granted;
                        leases.record = lease;
                        self.shared.set_leases(self.number, leases);
                        heart = Heart::new(self.shared.store.clone(), lease);
                    }
                    Err(_) => {
                        next = Instant::now() + BEAT_AGAIN * 10;
                        continue;
                    }
                }
            }
            next = Instant::now() + ttl / BEATS;
        }
    }

    /// Reports all changes.
    async fn follow(&self, mut follow: Follow) {
        let (mut failures, mut told) = (0, false);
        while let Some(news) = follow.next().await {
            match news {
                News::Snapshot(found) => {
                    (failures, told) = (0, false);
                    self.shared.tried(Attempt::Watch, Ok(()));
                    self.tell(Event::Synced(snapshot(
                        &self.prefix,
                        found.revision,
                        found.entries,
                    )));
                }
                News::Changes(changes) => {
                    for entry in changes
                        .into_iter()
                        .filter_map(|change| changed(&self.prefix, change))
                    {
                        self.tell(Event::Watched(entry));
                    }
                }
                News::Resumed if told => {
                    // The machine has discarded its knowledge: read everything again.
                    follow = self.watches();
                }
                News::Resumed => {
                    failures = 0;
                    self.shared.tried(Attempt::Watch, Ok(()));
                }
                News::Broken(error) => {
                    failures += 1;
                    let wiped = matches!(error, StoreError::AnotherHistory { .. });
                    if wiped {
                        // The lease is gone with the old etcd; makes the other task detect it now.
                        self.shared.ask.notify_one();
                    }
                    if failures < LOST_AFTER || wiped || matches!(error, StoreError::Compacted) {
                        continue;
                    }
                    self.shared.tried(Attempt::Watch, Err::<(), _>(error));
                    if !std::mem::replace(&mut told, true) {
                        self.tell(Event::StoreLost);
                    }
                }
            }
        }
    }

    /// Reads the health of etcd periodically.
    async fn look_after_etcd(&self) {
        loop {
            if let Ok(health) = self.shared.store.health().await {
                self.shared.set_health(health);
            }
            sleep(HEALTH).await;
        }
    }
}

/// Returns whether an error means that etcd is unreachable.
fn lost(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unreachable { .. } | StoreError::Unanswered { .. } | StoreError::NoLeader { .. }
    )
}
