//! One membership, or an attempt at one: its leases and its watches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::BootTime;
use tokio::time::{Instant, sleep, sleep_until as sleep_until_monotonic};
use uuid::Uuid;

use crate::clock::sleep_until;
use crate::etcd::{Follow, FollowEvent, LeaseId, LeaseKeepAlive, Renewal, StoreError};
use crate::events;
use crate::protocol::{self, Event, Incarnation, Prefix, Request, record_ttl};
use crate::reading::{changed, snapshot};
use crate::shared::{Leases, Operation, Shared};
use crate::stored_membership::StoredMembership;

/// The keepalives per TTL of a lease: two of them may be lost.
const KEEPALIVES_PER_TTL: u32 = 3;

/// The pause after a failed keepalive.
const KEEPALIVE_RETRY: Duration = Duration::from_millis(200);

/// The interval at which the health of etcd is read.
const HEALTH_INTERVAL: Duration = Duration::from_secs(60);

/// The number of failed attempts to watch in a row after which etcd counts as lost: the first one is the broken watch.
const LOST_AFTER: u32 = 2;

/// An attempt to join, and the resulting membership.
pub(super) struct Session {
    shared: Arc<Shared>,
    number: u64,
    prefix: Prefix,
}

/// The leases and watches of a membership.
struct Joined {
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
        let joined = match self.join().await {
            Ok(joined) => joined,
            Err(error) => {
                if is_unreachable(&error) {
                    self.send(Event::StoreLost);
                }
                self.shared.record_result(Operation::Join, Err::<(), _>(error));
                self.send(Event::Failed(Request::Join));
                return;
            }
        };
        self.shared.record_result(Operation::Join, Ok(()));
        let Joined {
            leases,
            record_ttl,
            sent,
            follow,
        } = joined;
        tokio::join!(
            self.keep_presence(leases.presence, sent),
            self.keep_records(leases, record_ttl),
            self.follow(follow),
            self.poll_health(),
        );
    }

    fn send(&self, event: Event) {
        self.shared.step_of(Some(self.number), event);
    }

    /// Revokes the previous leases, requests new ones, and opens the watches.
    async fn join(&self) -> Result<Joined, StoreError> {
        let (store, member_file) = (&self.shared.store, self.shared.options.member_file.as_deref());
        let ttl = self.shared.options.agent.lease_ttl;
        let sent = BootTime::now();
        let (presence, _) = store.grant(ttl).await?;
        // The old key exists under this agent's id, and blocks the new one until its lease ends.
        let stored = self.stored_lease(member_file).await;
        for former in self.shared.former().into_iter().chain(stored) {
            store.revoke(former).await?;
        }
        self.shared.clear_former();
        let record_ttl = self.record_ttl();
        let (record, record_ttl) = self.record_lease(record_ttl).await?;
        let leases = Leases { presence, record };
        let incarnation = Incarnation(Uuid::new_v4().as_u128());
        if let Some(path) = member_file {
            let member = StoredMembership {
                id: self.shared.options.agent.id.to_string(),
                lease: presence.0,
                incarnation: incarnation.to_string(),
                cluster: store.cluster(),
            };
            if let Err(error) = member.write(path).await {
                events::member_file_failed(&error);
            }
        }
        self.shared.set_leases(self.number, leases);
        let mut follow = self.watches();
        let found = loop {
            match follow.next().await {
                Some(FollowEvent::Snapshot(found)) => break found,
                Some(FollowEvent::Broken(error)) => return Err(error),
                Some(FollowEvent::Changes(_) | FollowEvent::Resumed) => {}
                None => {
                    return Err(StoreError::Unreachable {
                        reason: "the agent is stopping".to_owned(),
                    });
                }
            }
        };
        self.send(Event::Session(protocol::Session {
            incarnation,
            sent,
            snapshot: snapshot(&self.prefix, found.revision, found.entries),
        }));
        Ok(Joined {
            leases,
            record_ttl,
            sent,
            follow,
        })
    }

    /// Returns the presence lease of the last stored membership: of this process, or of a killed one.
    async fn stored_lease(&self, member_file: Option<&Path>) -> Option<LeaseId> {
        let stored = match StoredMembership::read(member_file?).await {
            Ok(stored) => stored?,
            Err(error) => {
                events::member_file_failed(&error);
                return None;
            }
        };
        stored.lease_in(self.shared.store.cluster())
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
        let period = self.shared.options.agent.lease_ttl / KEEPALIVES_PER_TTL;
        let mut keepalive = LeaseKeepAlive::new(self.shared.store.clone(), lease);
        let mut next = sent.plus(period);
        loop {
            let requested = tokio::select! {
                () = sleep_until(next) => false,
                () = self.shared.renew_lease.notified() => true,
            };
            let renewal = keepalive.renew().await;
            match &renewal {
                Ok(Renewal::Alive { sent }) => {
                    let sent = BootTime::after_boot(*sent);
                    next = sent.plus(period);
                    self.send(Event::KeptAlive { sent });
                }
                Ok(Renewal::Gone) | Err(StoreError::HistoryChanged { .. }) => {
                    self.send(Event::LeaseGone);
                    // A new session starts.
                    return;
                }
                Err(_) => {
                    next = BootTime::now().plus(KEEPALIVE_RETRY);
                    if requested {
                        self.send(Event::Failed(Request::RenewLease));
                    }
                }
            }
            self.shared.record_result(Operation::KeepAlive, renewal);
        }
    }

    /// Keeps the record lease alive, and replaces it if it is gone or too short.
    async fn keep_records(&self, mut leases: Leases, mut ttl: Duration) {
        let mut keepalive = LeaseKeepAlive::new(self.shared.store.clone(), leases.record);
        let mut next = Instant::now() + ttl / KEEPALIVES_PER_TTL;
        loop {
            tokio::select! {
                () = sleep_until_monotonic(next) => {}
                () = self.shared.extend_records.notified() => {}
            }
            let required = self.record_ttl();
            let renewal = keepalive.renew().await;
            let gone = matches!(
                renewal,
                Ok(Renewal::Gone) | Err(StoreError::HistoryChanged { .. })
            );
            if renewal.is_err() && !gone {
                next = Instant::now() + KEEPALIVE_RETRY * 10;
                continue;
            }
            if gone || required > ttl {
                match self.record_lease(required).await {
                    Ok((lease, granted)) => {
                        ttl = granted;
                        leases.record = lease;
                        self.shared.set_leases(self.number, leases);
                        keepalive = LeaseKeepAlive::new(self.shared.store.clone(), lease);
                    }
                    Err(_) => {
                        next = Instant::now() + KEEPALIVE_RETRY * 10;
                        continue;
                    }
                }
            }
            next = Instant::now() + ttl / KEEPALIVES_PER_TTL;
        }
    }

    /// Reports all changes.
    async fn follow(&self, mut follow: Follow) {
        let (mut failures, mut reported) = (0, false);
        while let Some(event) = follow.next().await {
            match event {
                FollowEvent::Snapshot(found) => {
                    (failures, reported) = (0, false);
                    self.shared.record_result(Operation::Watch, Ok(()));
                    self.send(Event::Synced(snapshot(
                        &self.prefix,
                        found.revision,
                        found.entries,
                    )));
                }
                FollowEvent::Changes(changes) => {
                    for entry in changes
                        .into_iter()
                        .filter_map(|change| changed(&self.prefix, change))
                    {
                        self.send(Event::Watched(entry));
                    }
                }
                FollowEvent::Resumed if reported => {
                    // The machine has discarded its knowledge: read everything again.
                    follow = self.watches();
                }
                FollowEvent::Resumed => {
                    failures = 0;
                    self.shared.record_result(Operation::Watch, Ok(()));
                }
                FollowEvent::Broken(error) => {
                    failures += 1;
                    let wiped = matches!(error, StoreError::HistoryChanged { .. });
                    if wiped {
                        // The lease is gone with the old etcd; makes the other task detect it now.
                        self.shared.renew_lease.notify_one();
                    }
                    if failures < LOST_AFTER || wiped || matches!(error, StoreError::Compacted) {
                        continue;
                    }
                    self.shared.record_result(Operation::Watch, Err::<(), _>(error));
                    if !std::mem::replace(&mut reported, true) {
                        self.send(Event::StoreLost);
                    }
                }
            }
        }
    }

    /// Reads the health of etcd periodically.
    async fn poll_health(&self) {
        loop {
            if let Ok(health) = self.shared.store.health().await {
                self.shared.set_health(health);
            }
            sleep(HEALTH_INTERVAL).await;
        }
    }
}

/// Returns whether an error means that etcd is unreachable.
fn is_unreachable(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unreachable { .. } | StoreError::Unanswered { .. } | StoreError::NoLeader { .. }
    )
}
