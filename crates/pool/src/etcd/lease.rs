//! Keeps a lease alive, and tracks until when it is certainly valid.

use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, timeout_at};

use super::endpoint::Connection;
use super::error::StoreError;
use super::numbers::LeaseId;
use super::store::Store;

/// Keeps one lease alive, one keepalive at a time.
#[derive(Debug)]
pub struct LeaseKeepAlive {
    store: Store,
    lease: LeaseId,
    stream: Option<Stream>,
}

/// A stream of keepalives. Answers carry no request number, so at most one request is pending, and a stream with an
/// abandoned request is not used again.
#[derive(Debug)]
struct Stream {
    connection: Connection,
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
}

/// The state of a lease according to etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It exists, for at least its TTL after `sent`.
    Alive {
        /// The time at which the acknowledged keepalive was sent, on the boot clock.
        sent: Duration,
    },
    /// It does not exist, or no longer.
    Gone,
}

impl LeaseKeepAlive {
    /// Creates a keeper for a granted lease.
    pub fn new(store: Store, lease: LeaseId) -> Self {
        Self {
            store,
            lease,
            stream: None,
        }
    }

    /// Returns the lease.
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Sends a keepalive and waits at most one request timeout for its answer, from any endpoint.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the state of the lease is unknown. [`StoreError::HistoryChanged`]: the lease is gone with its etcd.
    pub async fn renew(&mut self) -> Result<Renewal, StoreError> {
        let limit = self.store.request_timeout();
        let deadline = Instant::now() + limit;
        // Taken out: if this future is dropped, an answer is still pending that must not be matched to another request.
        if let Some(stream) = self.stream.take() {
            // With several endpoints, the others get half of the time.
            let share = if self.store.has_several_endpoints() {
                limit / 2
            } else {
                limit
            };
            match self.renew_on(stream, Instant::now() + share).await {
                Err(error) if error.may_have_happened() && Instant::now() < deadline => {}
                decided => return decided,
            }
        }
        self.renew_on_new_stream(deadline).await
    }

    async fn renew_on(&mut self, mut stream: Stream, deadline: Instant) -> Result<Renewal, StoreError> {
        let before = self.store.baseline();
        let broken = stream.connection.broken.clone();
        let url = self.store.url(stream.connection.endpoint);
        let ended = || StoreError::Unanswered {
            reason: format!("{url}: the connection broke"),
        };
        let began = Instant::now();
        let sent = boot_time();
        let answered = async {
            stream.keeper.keep_alive().await?;
            stream.answers.message().await
        };
        let answered = tokio::select! {
            answered = timeout_at(deadline, answered) => answered,
            () = broken.cancelled() => return Err(ended()),
        };
        match answered {
            Ok(Ok(Some(answer))) => {
                self.store.check(before, answer.header(), false)?;
                if answer.ttl() <= 0 {
                    return Ok(Renewal::Gone);
                }
                self.stream = Some(stream);
                Ok(Renewal::Alive { sent })
            }
            Ok(Ok(None)) => Err(ended()),
            Ok(Err(error)) => Err(self.store.failed(&stream.connection, &error)),
            Err(_) => {
                stream.connection.broken.cancel();
                Err(StoreError::timed_out(url, began.elapsed()))
            }
        }
    }

    async fn renew_on_new_stream(&mut self, deadline: Instant) -> Result<Renewal, StoreError> {
        let lease = self.lease.0;
        let opened = self.store.send_until(deadline, |mut client| async move {
            let sent = boot_time();
            let (keeper, answers) = client.lease_keep_alive(lease).await?;
            Ok((sent, keeper, answers))
        });
        match opened.await {
            Ok((connection, (sent, keeper, answers))) => {
                self.stream = Some(Stream {
                    connection,
                    keeper,
                    answers,
                });
                Ok(Renewal::Alive { sent })
            }
            Err(StoreError::LeaseGone) => Ok(Renewal::Gone),
            Err(error) => Err(error),
        }
    }
}

/// Returns the time since boot, including suspended time.
fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
