//! The task of a publisher: it publishes queued batches and survives every fault of the publisher.

use std::any::Any;
use std::error::Error;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, join, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use nephoscope_plugin::{PublishError, Publisher};
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use super::Lane;
use super::machine::{PublishCall, PublishResult, RunEndCall, Step};
use crate::events::Fault;
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;
use crate::options::CLOSE_TIMEOUT;

/// The limit on the length of a recorded error text in bytes, since the destination controls the text.
const MAX_ERROR: usize = 1000;

/// Delivers until the lane ends.
pub(crate) async fn run(lane: Arc<Lane>) {
    let mut calls = FuturesUnordered::new();
    loop {
        // Yields to other tasks, even if the publisher never waits.
        consume_budget().await;
        match lane.step() {
            Step::Publish(call) => {
                calls.push(Either::Left(publish(call, lane.options().publish_timeout)));
            }
            Step::EndRun(call) => calls.push(Either::Right(end_run(call, lane.options().publish_timeout))),
            Step::Wait(until) => tokio::select! {
                biased;
                Some(completed) = calls.next() => match completed {
                    Completed::Batch(number, result, duration) => lane.record(number, result, duration),
                    Completed::RunEnd { ok } => lane.run_end_handled(ok),
                },
                () = lane.work() => {}
                () = sleep_to(until) => {}
                () = prepare(&lane), if !calls.is_empty() => {}
            },
            Step::Close(publishers) => {
                close(publishers).await;
            }
            Step::Swap(publisher, done) => {
                abandon(&mut calls);
                let closed = close(vec![publisher]).await;
                lane.swapped(closed);
                // The reload may have stopped waiting.
                _ = done.send(());
            }
            Step::End(publishers) => {
                abandon(&mut calls);
                let (closed, ()) = join(close(publishers), lane.store_remaining()).await;
                lane.stop();
                lane.finish(closed);
                return;
            }
        }
    }
}

/// Encodes the next batch while others are in flight, so that the publisher does not wait for it. Never resolves if there is
/// nothing to encode.
async fn prepare(lane: &Lane) {
    // Lets the woken publisher run first.
    yield_now().await;
    match lane.unprepared() {
        // A batch that cannot be encoded is rejected when it is published.
        Some((batch, encoding)) => _ = batch.encoded(&*encoding),
        None => std::future::pending().await,
    }
}

/// A completed call of the publisher.
enum Completed {
    /// A publish, by the number of its batch, with its duration.
    Batch(u64, PublishResult, Duration),
    /// A run hook.
    RunEnd { ok: bool },
}

/// Notifies the publisher of the end of a run; handles panics and timeouts.
async fn end_run(call: RunEndCall, limit: Duration) -> Completed {
    let RunEndCall { run, end, publisher } = call;
    let call = async move { timeout(limit, publisher.run_ended(&run, &end)).await.is_ok() };
    let ok = AssertUnwindSafe(call).catch_unwind().await.unwrap_or(false);
    Completed::RunEnd { ok }
}

/// Publishes one batch; handles panics and timeouts.
async fn publish(call: PublishCall, limit: Duration) -> Completed {
    let PublishCall {
        number,
        batch,
        publisher,
    } = call;
    #[cfg(feature = "failpoints")]
    Failpoint::Publishing.reach();
    let began = Instant::now();
    let attempt = async move {
        match timeout(limit, publisher.publish(batch)).await {
            Ok(Ok(accepted)) => PublishResult::Accepted(accepted),
            Ok(Err(PublishError::Rejected { message })) => PublishResult::Rejected(shortened(message)),
            Ok(Err(error)) => PublishResult::Retry {
                fault: Fault::Error,
                error: chain(&error),
                not_before: match error {
                    PublishError::Retry { not_before, .. } => not_before,
                    _ => None,
                },
            },
            Err(_) => retry(Fault::TimedOut, format!("no answer within {limit:?}")),
        }
    };
    let result = match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => retry(Fault::Panicked, panic_text(&*panic)),
    };
    #[cfg(feature = "failpoints")]
    if matches!(result, PublishResult::Accepted(_)) {
        Failpoint::Accepted.reach();
    }
    Completed::Batch(number, result, began.elapsed())
}

fn retry(fault: Fault, error: String) -> PublishResult {
    PublishResult::Retry {
        fault,
        error,
        not_before: None,
    }
}

/// Drops in-flight calls. Dropping them may panic, too.
fn abandon<F>(calls: &mut FuturesUnordered<F>) {
    _ = catch_unwind(AssertUnwindSafe(|| calls.clear()));
}

/// Closes publishers concurrently; returns whether all closed in time and without a panic.
async fn close(publishers: Vec<Arc<dyn Publisher>>) -> bool {
    join_all(publishers.into_iter().map(close_one))
        .await
        .into_iter()
        .all(|closed| closed)
}

async fn close_one(publisher: Arc<dyn Publisher>) -> bool {
    let close = async move { timeout(CLOSE_TIMEOUT, publisher.close()).await.is_ok() };
    AssertUnwindSafe(close).catch_unwind().await.unwrap_or(false)
}

async fn sleep_to(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Returns an error and its sources in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        if text.len() > MAX_ERROR {
            break;
        }
        _ = write!(text, ": {error}");
        cause = error.source();
    }
    shortened(text)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    match text {
        Some(text) => shortened(format!("the publisher panicked: {text}")),
        None => "the publisher panicked".to_owned(),
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_ERROR {
        text.truncate(text.floor_char_boundary(MAX_ERROR));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_includes_its_sources_and_is_truncated() {
        let error = PublishError::retry_because(
            "the broker is unreachable",
            std::io::Error::other("connection refused"),
        );
        assert_eq!(chain(&error), "the broker is unreachable: connection refused");
        let long = chain(&PublishError::retry("ä".repeat(10_000)));
        assert_eq!(long.len(), MAX_ERROR + '…'.len_utf8());
    }
}
