//! Threads for calls that block: a hung call costs its thread, never the agent.
//!
//! A call that outlives its deadline is abandoned: nothing can stop a thread. While it still runs, the
//! same call is not started again, and at most [`MAX_ABANDONED`] threads are left behind in all before the pool
//! refuses every further call. A thread that comes back after all counts as abandoned no more.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// How many threads may be left behind in hung calls. An operator who sees it reached should look for what
/// hangs: a dead NFS server, a locked hypervisor.
const MAX_ABANDONED: usize = 16;

/// Why a blocking call gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockingError {
    /// The call did not end by its deadline; its thread was left behind.
    #[error("the call did not end by its deadline")]
    TimedOut,
    /// An earlier call of the same name, left behind, still runs.
    #[error("an earlier call still hangs")]
    StillRunning,
    /// Too many threads are left behind in hung calls.
    #[error("too many calls hang: {MAX_ABANDONED} threads are left behind")]
    Exhausted,
    /// The call panicked.
    #[error("the call panicked")]
    Panicked,
    /// The system gave no thread.
    #[error("no thread could be started")]
    NoThread,
}

/// Starts threads for calls that block, and keeps count of those that hang.
#[derive(Clone, Default)]
pub struct BlockingPool(Arc<Mutex<Abandoned>>);

/// Names of calls that were left behind and still run.
#[derive(Default)]
struct Abandoned {
    names: HashSet<String>,
    count: usize,
}

impl BlockingPool {
    /// Runs `call` on a thread of its own until `deadline`.
    ///
    /// `name` says what is called, for example `libvirt.stats`: while a call of this name is left behind in a
    /// hang, [`BlockingError::StillRunning`] comes at once.
    pub async fn call<T, F>(&self, name: &str, deadline: Instant, call: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        {
            let abandoned = self.0.lock();
            if abandoned.names.contains(name) {
                return Err(BlockingError::StillRunning);
            }
            if abandoned.count >= MAX_ABANDONED {
                return Err(BlockingError::Exhausted);
            }
        }
        let phase = Arc::new(Mutex::new(Phase::Waited));
        let thread = ThreadGuard {
            pool: self.clone(),
            name: name.to_owned(),
            phase: phase.clone(),
        };
        let (result, waiting) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("call-{name}"))
            .spawn(move || {
                // Dropped last, also in a panic.
                let _thread = thread;
                let _ = result.send(call());
            })
            .map_err(|_| BlockingError::NoThread)?;
        // Leaving this future in whatever way (deadline, cancellation) abandons the thread.
        let waiter = WaitGuard {
            pool: self.clone(),
            name: name.to_owned(),
            phase,
        };
        let Ok(ended) = timeout_at(deadline, waiting).await else {
            return Err(BlockingError::TimedOut);
        };
        // The call has ended, though its thread may not have got to saying so: it is not left behind.
        *waiter.phase.lock() = Phase::Ended;
        ended.map_err(|_| BlockingError::Panicked)
    }

    /// Names of the calls that were left behind and still run.
    pub fn abandoned(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.lock().names.iter().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Whether further calls are refused, since too many hang.
    pub fn is_exhausted(&self) -> bool {
        self.0.lock().count >= MAX_ABANDONED
    }
}

/// Where a call stands; both ends look at it under one lock.
#[derive(PartialEq)]
enum Phase {
    /// The thread runs and somebody waits for it.
    Waited,
    /// The thread runs and nobody waits for it.
    Abandoned,
    /// The thread has ended.
    Ended,
}

struct WaitGuard {
    pool: BlockingPool,
    name: String,
    phase: Arc<Mutex<Phase>>,
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut phase = self.phase.lock();
        if *phase == Phase::Waited {
            *phase = Phase::Abandoned;
            let mut abandoned = self.pool.0.lock();
            abandoned.names.insert(std::mem::take(&mut self.name));
            abandoned.count += 1;
        }
    }
}

struct ThreadGuard {
    pool: BlockingPool,
    name: String,
    phase: Arc<Mutex<Phase>>,
}

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        let mut phase = self.phase.lock();
        if *phase == Phase::Abandoned {
            let mut abandoned = self.pool.0.lock();
            abandoned.names.remove(&self.name);
            abandoned.count -= 1;
        }
        *phase = Phase::Ended;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(1)
    }

    fn in_time() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn a_result_comes_back() {
        assert_eq!(
            BlockingPool::default().call("add", in_time(), || 1 + 1).await,
            Ok(2)
        );
    }

    #[tokio::test]
    async fn a_panic_costs_the_call_alone() {
        let pool = BlockingPool::default();
        let outcome = pool.call::<(), _>("boom", in_time(), || panic!("boom")).await;
        assert_eq!(outcome, Err(BlockingError::Panicked));
        assert!(pool.abandoned().is_empty());
    }

    #[tokio::test]
    async fn a_call_that_has_ended_can_be_made_again_at_once() {
        let pool = BlockingPool::default();
        for number in 0..1000 {
            assert_eq!(pool.call("stats", in_time(), move || number).await, Ok(number));
        }
    }

    #[tokio::test]
    async fn a_hung_call_is_left_behind_and_not_started_again_until_it_ends() {
        let pool = BlockingPool::default();
        let (release, hang) = mpsc::sync_channel::<()>(1);
        let outcome = pool.call("stats", soon(), move || hang.recv().is_ok()).await;
        assert_eq!(outcome, Err(BlockingError::TimedOut));
        assert_eq!(pool.abandoned(), ["stats"]);
        assert_eq!(
            pool.call("stats", in_time(), || true).await,
            Err(BlockingError::StillRunning)
        );
        assert_eq!(
            pool.call("other", in_time(), || true).await,
            Ok(true),
            "another call goes on"
        );
        release.send(()).unwrap();
        while !pool.abandoned().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.call("stats", in_time(), || true).await, Ok(true));
    }

    #[tokio::test]
    async fn at_most_sixteen_threads_are_left_behind() {
        let pool = BlockingPool::default();
        let mut releases = Vec::new();
        for index in 0..MAX_ABANDONED {
            let (release, hang) = mpsc::sync_channel::<()>(1);
            releases.push(release);
            let outcome = pool
                .call(&format!("call-{index}"), soon(), move || hang.recv().is_ok())
                .await;
            assert_eq!(outcome, Err(BlockingError::TimedOut));
        }
        assert!(pool.is_exhausted());
        assert_eq!(
            pool.call("one more", in_time(), || ()).await,
            Err(BlockingError::Exhausted)
        );
        drop(releases);
        while pool.is_exhausted() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.call("one more", in_time(), || ()).await, Ok(()));
    }
}
