//! Members of a pool on one etcd: the program's backend, many times in this process.
//!
//! Each member has an agent's part of coordination: machine, driver, leases, watches, and a client with its own connection.
//! [`Members::cycles`] plays the engine's part (announces edges, requests plans, reports finished work). All members share the
//! machine's cores with each other and with etcd, unlike agents on separate hosts.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{Coordinator as _, Registration, Unit, WorkId};
use nephoscope_model::{CycleId, PartitionMode, ScheduleId, Timestamp};
use nephoscope_pool::etcd::{StoreOptions, TlsFiles};
use nephoscope_pool::protocol::{AgentId, Membership, OnLoss, Options};
use nephoscope_pool::{DEFAULT_QUOTA, Pool, PoolOptions, WallClock};
use nephoscope_tests::{Answer, Etcd, request};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::clocks;
use crate::error::{BenchError, Context};

/// The interval of every schedule.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// How long before an edge the engine announces it.
const AHEAD: Duration = Duration::from_secs(2);

/// How long after the edge a member's polls of a cycle finish.
const POLLS: Duration = Duration::from_millis(500);

/// The number of members that join at the same time.
const TOGETHER: usize = 25;

/// The timeout until all members know each other.
const PATIENCE: Duration = Duration::from_secs(120);

/// The members of the pool.
pub(crate) struct Members {
    runtime: Runtime,
    etcd: Etcd,
    pools: Vec<Arc<Pool>>,
    units: Vec<Unit>,
}

/// When a member knew the plan of a cycle, in milliseconds after the edge; infinite after the timeout.
pub(crate) type Known = f64;

/// The wall clock of the machine.
struct Wall;

impl WallClock for Wall {
    fn wall(&self) -> Timestamp {
        clocks::wall()
    }
}

impl Members {
    /// Starts members that share one unit on each of the schedules, and waits until all know each other and the first plans
    /// exist.
    pub(crate) fn gather(members: usize, schedules: usize) -> Result<Self, BenchError> {
        // The connection of each member needs a file descriptor.
        let limit = getrlimit(Resource::Nofile);
        let all = Rlimit {
            current: limit.maximum,
            ..limit
        };
        setrlimit(Resource::Nofile, all).context("open many files")?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("start a runtime")?;
        let unit = |number| Unit {
            scope: nephoscope_model::Scope::Shared,
            schedule: ScheduleId::new(format!("every:{}:{number}", INTERVAL.as_secs())),
            discovery: "volumes://".into(),
            mode: PartitionMode::Resource,
        };
        let mut pool = Self {
            runtime,
            etcd: Etcd::start(),
            pools: Vec::new(),
            units: (0..schedules).map(unit).collect(),
        };
        for first in (0..members).step_by(TOGETHER) {
            pool.join(first..members.min(first + TOGETHER))?;
        }
        pool.until("all members to know each other", |pool| {
            pool.status().agent.members == members
        })?;
        // The first plans, and the records of their cycles.
        pool.cycles(2)?;
        Ok(pool)
    }

    fn join(&mut self, numbers: std::ops::Range<usize>) -> Result<(), BenchError> {
        let joining = numbers.len();
        let _context = self.runtime.enter();
        for number in numbers {
            let id = format!("compute-{number:04}");
            let agent = Options {
                id: AgentId::new(&id).ok_or_else(|| BenchError::new("a member has no name"))?,
                host: id.into(),
                group_prefix: "".into(),
                lease_ttl: Duration::from_secs(5),
                request_timeout: Duration::from_secs(1),
                on_loss: OnLoss::Continue,
            };
            let store = StoreOptions {
                endpoints: self.etcd.endpoints(),
                user: None,
                tls: TlsFiles::default(),
                request_timeout: Duration::from_secs(1),
                connect_timeout: Duration::from_secs(5),
            };
            let options = PoolOptions {
                agent,
                store,
                prefix: "nephoscope/".to_owned(),
                member_file: None,
                quota: DEFAULT_QUOTA,
            };
            self.pools.push(Arc::new(Pool::start(options, Arc::new(Wall))));
        }
        let before = self.pools.len() - joining;
        let new = self.pools.get(before..).unwrap_or_default();
        self.runtime.block_on(async {
            for pool in new {
                let registration = Registration {
                    units: self.units.clone(),
                    meters: 1,
                    in_progress: Vec::new(),
                };
                pool.register(registration).await;
            }
        });
        self.until("members to join", |pool| {
            matches!(pool.status().agent.membership, Membership::Member { .. })
        })
    }

    /// Waits until a condition holds for every member.
    fn until(&self, what: &str, is_so: impl Fn(&Pool) -> bool) -> Result<(), BenchError> {
        let all = async {
            for pool in &self.pools {
                while !is_so(pool) {
                    sleep(Duration::from_millis(50)).await;
                }
            }
        };
        self.runtime
            .block_on(async { timeout(PATIENCE, all).await })
            .context(&format!("wait for {what}"))
    }

    /// Runs cycles of all schedules, with edges spread over the interval. Returns for each cycle when each member knew its
    /// plan.
    pub(crate) fn cycles(&self, count: u32) -> Result<Vec<Vec<Known>>, BenchError> {
        let schedules = u32::try_from(self.units.len()).context("count schedules")?;
        let known = self.runtime.block_on(async {
            let (began, wall) = (Instant::now(), clocks::wall().as_millis());
            let mut last = began;
            let mut cycles = JoinSet::new();
            for number in 0..count {
                for (place, unit) in (0..).zip(&self.units) {
                    let offset = AHEAD + INTERVAL * number + INTERVAL / schedules * place;
                    let cycle = CycleId::new(
                        unit.schedule.clone(),
                        Timestamp::from_millis(wall + i64::try_from(offset.as_millis()).unwrap_or(0)),
                        i64::from(number),
                    );
                    let (pools, unit) = (self.pools.clone(), unit.clone());
                    last = began + offset;
                    cycles.spawn(one_cycle(pools, cycle, last, unit));
                }
            }
            let known = cycles.join_all().await;
            sleep_until(last + INTERVAL - AHEAD).await;
            known
        });
        Ok(known)
    }

    /// Returns the metrics of etcd.
    pub(crate) fn metrics(&self) -> Result<Answer, BenchError> {
        let node = self.etcd.nodes.first();
        let port = node.ok_or_else(|| BenchError::new("etcd has no node"))?.port;
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connect to etcd")?;
        Ok(request(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ))
    }
}

/// Plays the engine's part in a cycle. It requests a plan as soon as the cycle is announced, so that the response arrives
/// when the plan is known.
async fn one_cycle(pools: Vec<Arc<Pool>>, cycle: CycleId, edge: Instant, unit: Unit) -> Vec<Known> {
    sleep_until(edge - AHEAD).await;
    let mut members = JoinSet::new();
    for pool in pools {
        pool.prepare(&cycle, edge, INTERVAL);
        let (cycle, unit) = (cycle.clone(), unit.clone());
        members.spawn(async move {
            let assignment = pool.plan(&cycle).await;
            let now = Instant::now();
            sleep_until(edge + POLLS).await;
            if assignment.is_err() {
                return f64::INFINITY;
            }
            pool.finished(&WorkId::of(cycle), &unit);
            let (late, early) = (
                now.saturating_duration_since(edge),
                edge.saturating_duration_since(now),
            );
            (late.as_secs_f64() - early.as_secs_f64()) * 1e3
        });
    }
    members.join_all().await
}
