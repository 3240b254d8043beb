//! A thread pool for blocking calls: a hung call occupies its thread and does not block the agent.
//!
//! A thread cannot be stopped, so a call that exceeds its deadline is abandoned and counts as hung. While it still runs,
//! a call of the same name is not started. When [`MAX_HUNG_CALLS`] calls hang, the pool rejects every further call. A
//! thread that returns after all no longer counts as hung.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// The maximum number of hung calls. An operator who sees it reached should look for what hangs: a dead NFS server, a
/// locked hypervisor.
const MAX_HUNG_CALLS: usize = 16;

/// Why a blocking call returned no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockingError {
    /// The call did not end by its deadline; its thread still runs.
    #[error("the call did not end by its deadline")]
    TimedOut,
    /// An earlier call of the same name still hangs.
    #[error("an earlier call still hangs")]
    StillRunning,
    /// The limit on hung calls is reached.
    #[error("{MAX_HUNG_CALLS} calls hang; no further call is started")]
    Exhausted,
    /// The call panicked.
    #[error("the call panicked")]
    Panicked,
    /// The system could not start a thread.
    #[error("no thread could be started")]
    NoThread,
}

/// Runs blocking calls on threads and tracks the calls that hang.
#[derive(Clone, Default)]
pub struct BlockingPool(Arc<Mutex<HungCalls>>);

/// The abandoned calls that still run.
#[derive(Default)]
struct HungCalls {
    names: HashSet<String>,
    count: usize,
}

impl BlockingPool {
    /// Runs `call` on its own thread until `deadline`.
    ///
    /// `name` identifies the call, for example `libvirt.stats`. While a call of this name hangs, the pool returns
    /// [`BlockingError::StillRunning`] immediately.
    pub async fn call<T, F>(&self, name: &str, deadline: Instant, call: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        {
            let hung = self.0.lock();
            if hung.names.contains(name) {
                return Err(BlockingError::StillRunning);
            }
            if hung.count >= MAX_HUNG_CALLS {
                return Err(BlockingError::Exhausted);
            }
        }
        let phase = Arc::new(Mutex::new(Phase::Awaited));
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
        // Dropping this future for any reason (deadline, cancellation) abandons the thread.
        let waiter = WaitGuard {
            pool: self.clone(),
            name: name.to_owned(),
            phase,
        };
        let Ok(ended) = timeout_at(deadline, waiting).await else {
            return Err(BlockingError::TimedOut);
        };
        // The call has ended, even if its thread has not updated the phase yet: it does not hang.
        *waiter.phase.lock() = Phase::Ended;
        ended.map_err(|_| BlockingError::Panicked)
    }

    /// The names of the calls that hang.
    pub fn hung_calls(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.lock().names.iter().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Whether further calls are rejected because too many hang.
    pub fn is_exhausted(&self) -> bool {
        self.0.lock().count >= MAX_HUNG_CALLS
    }
}

/// The state of a call. Both ends read and change it under one lock.
#[derive(PartialEq)]
enum Phase {
    /// The thread runs and a caller waits for it.
    Awaited,
    /// The thread runs and no caller waits for it.
    Abandoned,
    /// The call has ended.
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
        if *phase == Phase::Awaited {
            *phase = Phase::Abandoned;
            let mut hung = self.pool.0.lock();
            hung.names.insert(std::mem::take(&mut self.name));
            hung.count += 1;
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
            let mut hung = self.pool.0.lock();
            hung.names.remove(&self.name);
            hung.count -= 1;
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
    async fn a_call_returns_its_result() {
        assert_eq!(
            BlockingPool::default().call("add", in_time(), || 1 + 1).await,
            Ok(2)
        );
    }

    #[tokio::test]
    async fn a_panic_is_isolated_to_its_call() {
        let pool = BlockingPool::default();
        let outcome = pool.call::<(), _>("boom", in_time(), || panic!("boom")).await;
        assert_eq!(outcome, Err(BlockingError::Panicked));
        assert!(pool.hung_calls().is_empty());
    }

    #[tokio::test]
    async fn an_ended_call_can_be_repeated_immediately() {
        let pool = BlockingPool::default();
        for number in 0..1000 {
            assert_eq!(pool.call("stats", in_time(), move || number).await, Ok(number));
        }
    }

    #[tokio::test]
    async fn a_hung_call_is_not_started_again_until_it_ends() {
        let pool = BlockingPool::default();
        let (release, hang) = mpsc::sync_channel::<()>(1);
        let outcome = pool.call("stats", soon(), move || hang.recv().is_ok()).await;
        assert_eq!(outcome, Err(BlockingError::TimedOut));
        assert_eq!(pool.hung_calls(), ["stats"]);
        assert_eq!(
            pool.call("stats", in_time(), || true).await,
            Err(BlockingError::StillRunning)
        );
        assert_eq!(
            pool.call("other", in_time(), || true).await,
            Ok(true),
            "other calls still run"
        );
        release.send(()).unwrap();
        while !pool.hung_calls().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.call("stats", in_time(), || true).await, Ok(true));
    }

    #[tokio::test]
    async fn at_most_sixteen_calls_hang() {
        let pool = BlockingPool::default();
        let mut releases = Vec::new();
        for index in 0..MAX_HUNG_CALLS {
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
