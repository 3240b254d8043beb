//! The task of a publisher: takes what is queued, publishes it, and survives whatever the publisher does.

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
use super::machine::{Answer, Departure, Step, Told};
use crate::events::Fault;
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;
use crate::options::CLOSE_TIMEOUT;

/// An error's text is kept and logged up to so many bytes: what the other side says is not ours.
const MAX_ERROR: usize = 1000;

/// Delivers until the lane ends.
pub(crate) async fn run(lane: Arc<Lane>) {
    let mut flights = FuturesUnordered::new();
    loop {
        // A publisher that is always ready would otherwise keep the thread to itself.
        consume_budget().await;
        match lane.step() {
            Step::Publish(departure) => {
                flights.push(Either::Left(publish(departure, lane.options().publish_timeout)));
            }
            Step::Tell(told) => flights.push(Either::Right(tell(told, lane.options().publish_timeout))),
            Step::Wait(until) => tokio::select! {
                biased;
                Some(landed) = flights.next() => match landed {
                    Landed::Batch(number, answer, duration) => lane.record(number, answer, duration),
                    Landed::RunEnd { heard } => lane.told(heard),
                },
                () = lane.work() => {}
                () = sleep_to(until) => {}
                () = prepare(&lane), if !flights.is_empty() => {}
            },
            Step::Close(publishers) => {
                close(publishers).await;
            }
            Step::Swap(publisher, done) => {
                abandon(&mut flights);
                let closed = close(vec![publisher]).await;
                lane.swapped(closed);
                // Whoever reloads may have stopped waiting.
                _ = done.send(());
            }
            Step::End(publishers) => {
                abandon(&mut flights);
                let (closed, ()) = join(close(publishers), lane.put_away()).await;
                lane.stop();
                lane.finish(closed);
                return;
            }
        }
    }
}

/// Encodes the batch that comes next while others are under way: then the publisher's place need not wait for it.
/// Never ends where there is none.
async fn prepare(lane: &Lane) {
    // What is under way goes first: the publisher has been woken by now.
    yield_now().await;
    match lane.unprepared() {
        // A batch that cannot be encoded is rejected when it is published.
        Some((batch, encoding)) => _ = batch.encoded(&*encoding),
        None => std::future::pending().await,
    }
}

/// What has come back.
enum Landed {
    /// A batch, by its number, and the duration of the attempt.
    Batch(u64, Answer, Duration),
    /// The end of a run.
    RunEnd { heard: bool },
}

/// Tells of the end of a run; comes back whatever happens.
async fn tell(told: Told, limit: Duration) -> Landed {
    let Told { run, end, publisher } = told;
    let hear = async move { timeout(limit, publisher.run_ended(&run, &end)).await.is_ok() };
    let heard = AssertUnwindSafe(hear).catch_unwind().await.unwrap_or(false);
    Landed::RunEnd { heard }
}

/// Publishes one batch; comes back whatever happens.
async fn publish(departure: Departure, limit: Duration) -> Landed {
    let Departure {
        number,
        batch,
        publisher,
    } = departure;
    #[cfg(feature = "failpoints")]
    Failpoint::Departing.reach();
    let began = Instant::now();
    let attempt = async move {
        match timeout(limit, publisher.publish(batch)).await {
            Ok(Ok(accepted)) => Answer::Taken(accepted),
            Ok(Err(PublishError::Rejected { message })) => Answer::Rejected(shortened(message)),
            Ok(Err(error)) => Answer::Retry {
                fault: Fault::Answered,
                error: chain(&error),
                not_before: match error {
                    PublishError::Retry { not_before, .. } => not_before,
                    _ => None,
                },
            },
            Err(_) => retry(Fault::TimedOut, format!("no answer within {limit:?}")),
        }
    };
    let answer = match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(answer) => answer,
        Err(panic) => retry(Fault::Panicked, panic_text(&*panic)),
    };
    #[cfg(feature = "failpoints")]
    if matches!(answer, Answer::Taken(_)) {
        Failpoint::Answered.reach();
    }
    Landed::Batch(number, answer, began.elapsed())
}

fn retry(fault: Fault, error: String) -> Answer {
    Answer::Retry {
        fault,
        error,
        not_before: None,
    }
}

/// Drops what is under way. It may panic while being dropped, too.
fn abandon<F>(flights: &mut FuturesUnordered<F>) {
    _ = catch_unwind(AssertUnwindSafe(|| flights.clear()));
}

/// Closes publishers, together; whether all did so in time and without a panic.
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

/// An error and what caused it, in one line.
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
    fn an_error_shows_its_causes_once_and_is_short() {
        let error =
            PublishError::retry_because("the broker is away", std::io::Error::other("connection refused"));
        assert_eq!(chain(&error), "the broker is away: connection refused");
        let long = chain(&PublishError::retry("ä".repeat(10_000)));
        assert_eq!(long.len(), MAX_ERROR + '…'.len_utf8());
    }
}
