//! A pool as any client with read access to its keys sees it.

use std::time::Duration;

use nephoscope_model::ScheduleId;

use crate::etcd::{LeaseId, Store, StoreError};
use crate::protocol::{AgentId, Content, Key, Member, Plan, Prefix, Value};
use crate::reading::snapshot;

/// The members and plans of a pool at one revision.
#[derive(Debug, Clone, Default)]
pub struct PoolView {
    /// By id.
    pub members: Vec<SeenMember>,
    /// By schedule.
    pub plans: Vec<(ScheduleId, Plan)>,
    /// Keys with invalid values, and the reasons.
    pub invalid: Vec<String>,
}

/// A member according to its key.
#[derive(Debug, Clone)]
pub struct SeenMember {
    /// Its id.
    pub id: AgentId,
    /// Its value.
    pub member: Member,
    /// The time since its lease was renewed, in whole seconds; `None` if the lease has ended meanwhile.
    pub lease_age: Option<Duration>,
}

impl PoolView {
    /// Reads the pool.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn read(store: &Store, prefix: &Prefix) -> Result<Self, StoreError> {
        let found = store.ranges(&[prefix.members(), prefix.plans()]).await?;
        let leases: Vec<_> = found
            .entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.lease))
            .collect();
        let mut view = Self::default();
        for entry in snapshot(prefix, found.revision, found.entries).entries {
            match (entry.key, entry.content) {
                (Key::Member(id), Content::Value(Value::Member(member))) => {
                    let key = prefix.key(&Key::Member(id.clone()));
                    let lease = leases.iter().find(|(found, _)| *found == key.as_bytes());
                    let lease_age = match lease {
                        Some((_, lease)) => store.lease_age(LeaseId(*lease)).await?,
                        None => None,
                    };
                    view.members.push(SeenMember {
                        id,
                        member,
                        lease_age,
                    });
                }
                (Key::Plan(schedule), Content::Value(Value::Plan(plan))) => view.plans.push((schedule, plan)),
                (_, Content::Invalid(invalid)) => view.invalid.push(invalid.to_string()),
                _ => {}
            }
        }
        Ok(view)
    }
}
