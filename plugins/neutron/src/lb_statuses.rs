//! Statuses of the parts of load balancers. Neutron reports them in a tree per balancer, not with the parts.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, stream};
use nephoscope_openstack::{ApiError, Service};
use nephoscope_plugin::{CallDef, CallRate, CycleCache, Failure, FailureKind};
use serde::Deserialize;

use crate::FAMILY;
use crate::lb_balancers::BALANCERS;

/// Sent once for each load balancer.
pub(crate) static STATUSES: CallDef =
    CallDef::new(FAMILY, "GET", "/v2.0/lbaas/loadbalancers/{loadbalancer}/statuses")
        .role("admin")
        .rate(CallRate::PerResource);

/// The statuses of the parts of all balancers, by id.
#[derive(Debug, Default)]
pub(crate) struct Statuses {
    listeners: HashMap<String, String>,
    pools: HashMap<String, String>,
    /// By pool and member.
    members: HashMap<(String, String), String>,
}

/// The statuses of a cycle, or why they are missing.
type Shared = Result<Arc<Statuses>, (FailureKind, String)>;

#[derive(Deserialize)]
struct Document {
    statuses: Tree,
}

#[derive(Deserialize)]
struct Tree {
    loadbalancer: Balancer,
}

#[derive(Deserialize)]
struct Balancer {
    #[serde(default)]
    listeners: Vec<Listener>,
}

#[derive(Deserialize)]
struct Listener {
    id: String,
    operating_status: Option<String>,
    #[serde(default)]
    pools: Vec<Pool>,
}

#[derive(Deserialize)]
struct Pool {
    id: String,
    operating_status: Option<String>,
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    id: String,
    operating_status: Option<String>,
}

impl Statuses {
    /// Returns the statuses of this cycle, which are requested once and shared.
    ///
    /// # Errors
    ///
    /// The balancers cannot be listed, or Neutron is unavailable.
    pub(crate) async fn of(cache: &CycleCache, neutron: &Service) -> Result<Arc<Self>, Failure> {
        let make = || async {
            let made = Self::ask(neutron).await;
            made.map(Arc::new)
                .map_err(|error| (error.kind(), Failure::from(error).chain()))
        };
        let shared = cache.get_or_init::<Shared, _>("neutron: statuses of load balancers", make);
        match &*shared.await {
            Ok(statuses) => Ok(statuses.clone()),
            Err((kind, reason)) => Err(Failure::new(*kind, reason.clone())),
        }
    }

    pub(crate) fn listener(&self, id: &str) -> Option<&str> {
        self.listeners.get(id).map(String::as_str)
    }

    pub(crate) fn pool(&self, id: &str) -> Option<&str> {
        self.pools.get(id).map(String::as_str)
    }

    pub(crate) fn member(&self, pool: &str, id: &str) -> Option<&str> {
        let key = (pool.to_owned(), id.to_owned());
        self.members.get(&key).map(String::as_str)
    }

    async fn ask(neutron: &Service) -> Result<Self, ApiError> {
        let mut balancers = BALANCERS.entries(neutron);
        let mut ids = Vec::new();
        while let Some((id, _)) = balancers.next().await? {
            ids.push(id);
        }
        let trees = stream::iter(ids).map(|id| neutron.request(&STATUSES).segment(id).document::<Document>());
        let mut trees = trees.buffer_unordered(neutron.concurrency());
        let mut all = Self::default();
        while let Some(tree) = trees.next().await {
            match tree {
                Ok(tree) => all.add(tree.statuses.loadbalancer),
                // This balancer has no tree: its parts have no status; other balancers are not affected.
                Err(ApiError::Status { .. } | ApiError::Answer { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn add(&mut self, balancer: Balancer) {
        for listener in balancer.listeners {
            for pool in listener.pools {
                for member in pool.members {
                    if let Some(status) = member.operating_status {
                        self.members.insert((pool.id.clone(), member.id), status);
                    }
                }
                if let Some(status) = pool.operating_status {
                    self.pools.insert(pool.id, status);
                }
            }
            if let Some(status) = listener.operating_status {
                self.listeners.insert(listener.id, status);
            }
        }
    }
}
