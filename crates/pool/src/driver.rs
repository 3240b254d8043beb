//! Executes the machine's requests in etcd, and runs its timer.

use std::sync::Arc;

use nephoscope_coordination::BootTime;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::clock::sleep_until;
use crate::etcd::{self, StoreError, Transaction};
use crate::events;
use crate::protocol::{
    Action, Condition, Event, Key, Prefix, Request, Revision, Scope, Snapshot, Value, Written, wire,
};
use crate::reading::snapshot;
use crate::session::Session;
use crate::shared::{Operation, Shared};

/// The task that executes the machine's requests.
pub(super) struct Driver {
    shared: Arc<Shared>,
    prefix: Prefix,
    /// The running requests of the current session.
    requests: JoinSet<()>,
    session: Option<AbortOnDrop>,
}

/// A task that is aborted when this is dropped.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            prefix: Prefix::new(&shared.options.prefix),
            shared,
            requests: JoinSet::new(),
            session: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            while let Some((session, action)) = self.shared.next_request() {
                if matches!(action, Action::Revoke) {
                    return self.revoke().await;
                }
                self.start(session, action);
            }
            let tick = self.shared.next_tick();
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = async { sleep_until(tick.unwrap_or_else(BootTime::now)).await }, if tick.is_some() => {
                    self.shared.step(Event::Tick);
                }
                Some(_) = self.requests.join_next(), if !self.requests.is_empty() => {}
            }
        }
    }

    fn start(&mut self, session: u64, action: Action) {
        let shared = self.shared.clone();
        match action {
            Action::Join { after } => {
                self.requests.abort_all();
                self.requests.detach_all();
                let run = Session::new(shared, session, self.prefix.clone()).run(after);
                self.session = Some(AbortOnDrop(tokio::spawn(run).abort_handle()));
            }
            Action::Write { key, value, only_if } => {
                let prefix = self.prefix.clone();
                self.requests.spawn(async move {
                    let event = match write(&shared, &prefix, &key, &value, &only_if).await {
                        Some(written) => Event::Written(key, written),
                        None => Event::Failed(Request::Write(key)),
                    };
                    shared.step_of(Some(session), event);
                });
            }
            Action::Read(scope) => {
                let prefix = self.prefix.clone();
                self.requests.spawn(async move {
                    let read = read(&shared, &prefix, &scope).await;
                    let event = match shared.record_result(Operation::Read, read) {
                        Some(snapshot) => Event::Read(scope, snapshot),
                        None => Event::Failed(Request::Read(scope)),
                    };
                    shared.step_of(Some(session), event);
                });
            }
            Action::RenewLease => self.shared.renew_lease.notify_one(),
            // Executed by the engine's side, or not a request.
            Action::Revoke
            | Action::Begin { .. }
            | Action::TakeOver { .. }
            | Action::Cancel(_)
            | Action::Notice(_) => {}
        }
    }

    /// Revokes the presence lease, after the running writes.
    async fn revoke(&mut self) {
        let written = async { while self.requests.join_next().await.is_some() {} };
        // All writes have started, so each ends within the timeout.
        let _ = timeout(self.shared.options.agent.answer_timeout(), written).await;
        if let Some(leases) = self.shared.leases() {
            // If the revocation fails, the lease expires.
            let _ = self.shared.store.revoke(leases.presence).await;
        }
        self.session = None;
        self.shared.left.cancel();
    }
}

/// Executes a write. Returns `None` if the outcome is unknown.
async fn write(
    shared: &Shared,
    prefix: &Prefix,
    key: &Key,
    value: &Value,
    only_if: &[Condition],
) -> Option<Written> {
    let bytes = match wire::encode(value) {
        Ok(bytes) => bytes,
        Err(reason) => {
            events::write_failed(&reason);
            return None;
        }
    };
    let path = prefix.key(key).into_bytes();
    let leases = shared.leases()?;
    let lease = if key.under_presence() {
        leases.presence
    } else {
        leases.record
    };
    let transaction = Transaction {
        conditions: only_if
            .iter()
            .map(|condition| condition_of(prefix, condition))
            .collect(),
        writes: vec![etcd::Write::Put {
            key: path.clone(),
            value: bytes,
            lease: Some(lease),
        }],
        otherwise: vec![etcd::Read(path)],
    };
    let result = shared.store.transact(transaction).await;
    match &result {
        // Without the presence lease the membership is over; the session replaces a lost record lease.
        Err(StoreError::LeaseGone) if !key.under_presence() => shared.extend_records.notify_one(),
        Err(StoreError::LeaseGone | StoreError::HistoryChanged { .. }) => shared.renew_lease.notify_one(),
        _ => {}
    }
    let answer = shared.record_result(Operation::Write, result)?;
    Some(match answer.value {
        etcd::Outcome::Done => Written::Done(Revision(answer.revision)),
        etcd::Outcome::Rejected(current) => {
            let current = current.into_iter().flatten().collect();
            Written::Rejected(snapshot(prefix, answer.revision, current))
        }
    })
}

fn condition_of(prefix: &Prefix, condition: &Condition) -> etcd::Condition {
    match condition {
        Condition::Unchanged(key, Revision::NONE) | Condition::Created(key, Revision::NONE) => {
            etcd::Condition::Absent(prefix.key(key).into())
        }
        Condition::Unchanged(key, revision) => {
            etcd::Condition::ModifiedAt(prefix.key(key).into(), revision.0)
        }
        Condition::Created(key, revision) => etcd::Condition::CreatedAt(prefix.key(key).into(), revision.0),
    }
}

async fn read(shared: &Shared, prefix: &Prefix, scope: &Scope) -> Result<Snapshot, StoreError> {
    let found = match scope {
        Scope::Members => shared.store.range(prefix.members().as_bytes()).await?,
        Scope::Marks(schedule) => shared.store.range(prefix.marks_of(schedule).as_bytes()).await?,
        Scope::Plan(schedule) => {
            let key = prefix.key(&Key::Plan(schedule.clone()));
            let answer = shared.store.get(key.as_bytes()).await?;
            etcd::Snapshot {
                entries: answer.value.into_iter().collect(),
                revision: answer.revision,
            }
        }
    };
    Ok(snapshot(prefix, found.revision, found.entries))
}
