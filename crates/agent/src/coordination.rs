//! Creates the configured coordinator.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_config::{Backend, Config, Coordination as Section, OnLoss};
use nephoscope_coordination::{Coordinator, Local};
use nephoscope_model::Timestamp;
use nephoscope_polling::clock::{Clock as _, SystemClock};
use nephoscope_pool::etcd::{Identity, StoreOptions, TlsFiles, User};
use nephoscope_pool::protocol::{self, AgentId};
use nephoscope_pool::{DuplicateId, Pool, PoolOptions, WallClock};

/// The file in the state folder with the last membership.
const MEMBER_FILE: &str = "member.json";

/// The timeout for the first response of etcd with `--require-coordination`.
pub(crate) const FIRST_ANSWER: Duration = Duration::from_secs(30);

/// An error that keeps an agent from sharing work; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoordinationError {
    /// The id is not valid in a key.
    #[error("use `{0}` as `agent.id`: expected at most 128 letters, digits, `.`, `_` and `-`")]
    Id(String),
    /// Another running agent has the id.
    #[error("join the pool: {0}")]
    DuplicateId(#[from] DuplicateId),
    /// etcd does not respond in time.
    #[error("reach etcd within {} s (`--require-coordination`){}", FIRST_ANSWER.as_secs(), because(.0))]
    NoAnswer(Option<String>),
}

fn because(reason: &Option<String>) -> String {
    reason
        .as_ref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default()
}

/// The coordination of work with other agents.
#[derive(Debug, Clone)]
pub(crate) enum Coordination {
    /// This agent shares no work.
    Local,
    /// This agent shares work with the members of a pool.
    Pool {
        /// The backend.
        pool: Arc<Pool>,
        /// How long the agent waits at startup while another agent has its id.
        patience: Duration,
    },
}

impl Coordination {
    /// Creates the configured coordination without connecting. Must be called within the core runtime.
    pub(crate) fn start(config: &Config, state: &Path) -> Result<Self, CoordinationError> {
        let section = &config.coordination;
        if section.backend() == Backend::Local {
            return Ok(Self::Local);
        }
        let id = config.agent.id();
        let agent = protocol::Options {
            id: AgentId::new(&id).ok_or(CoordinationError::Id(id))?,
            host: config.agent.host().into(),
            group_prefix: section.group_prefix.as_str().into(),
            lease_ttl: section.lease_ttl.into(),
            request_timeout: section.request_timeout.into(),
            on_loss: match section.on_loss {
                OnLoss::Continue => protocol::OnLoss::Continue,
                OnLoss::Pause => protocol::OnLoss::Pause,
            },
        };
        let options = PoolOptions {
            agent,
            store: store_options(section),
            prefix: section.prefix.clone(),
            member_file: Some(state.join(MEMBER_FILE)),
            quota: section.quota.0,
        };
        Ok(Self::Pool {
            patience: 2 * options.agent.lease_ttl,
            pool: Arc::new(Pool::start(options, Arc::new(Wall))),
        })
    }

    /// Returns the coordinator for the engine.
    pub(crate) fn coordinator(&self) -> Arc<dyn Coordinator> {
        match self {
            Self::Local => Arc::new(Local),
            Self::Pool { pool, .. } => pool.clone(),
        }
    }

    /// Returns the pool, if work is shared.
    pub(crate) fn pool(&self) -> Option<Arc<Pool>> {
        match self {
            Self::Local => None,
            Self::Pool { pool, .. } => Some(pool.clone()),
        }
    }

    /// Waits for an error that keeps the agent from starting. Never resolves without one. If `required`, etcd must respond in time.
    pub(crate) async fn startup_error(self, required: bool) -> CoordinationError {
        let Self::Pool { pool, patience } = self else {
            return std::future::pending().await;
        };
        let silent = async {
            if !required || pool.etcd_answers(FIRST_ANSWER).await {
                std::future::pending::<()>().await;
            }
            let error = pool.status().failures.into_iter().next();
            CoordinationError::NoAnswer(error.map(|error| error.error.to_string()))
        };
        tokio::select! {
            holder = pool.duplicate_id(patience) => holder.into(),
            error = silent => error,
        }
    }
}

/// Returns the options for connecting to etcd.
pub(crate) fn store_options(section: &Section) -> StoreOptions {
    let user = section.user.as_ref().zip(section.password.as_ref());
    let identity = section.tls.cert.as_ref().zip(section.tls.key.as_ref());
    StoreOptions {
        endpoints: section
            .endpoints
            .iter()
            .map(|endpoint| endpoint.as_str().to_owned())
            .collect(),
        user: user.map(|(name, password)| User {
            name: name.clone(),
            password: password.clone(),
        }),
        tls: TlsFiles {
            ca: section.tls.ca.clone(),
            identity: identity.map(|(certificate, key)| Identity {
                certificate: certificate.clone(),
                key: key.clone(),
            }),
        },
        request_timeout: section.request_timeout.into(),
        connect_timeout: section.connect_timeout.into(),
    }
}

/// The wall clock of the machine.
struct Wall;

impl WallClock for Wall {
    fn wall(&self) -> Timestamp {
        SystemClock.wall()
    }
}
