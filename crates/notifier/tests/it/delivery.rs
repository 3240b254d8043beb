//! Delivery: order, retries, rejections, timeouts, panics.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Batch, Encoding, OsloNotification};
use nephoscope_notifier::{
    NOT_BEFORE_MAX, Outcome, PUBLISH_TIMEOUT, PublisherSetup, PublisherState, ReceiptSet,
};
use nephoscope_plugin::{Accepted, PublishError, Publisher};
use tokio::time::{Instant, timeout};

use crate::doubles::{Act, Double, assert_adds_up, batch, counts, setup, start, state, status};

#[tokio::test(start_paused = true)]
async fn every_publisher_receives_every_batch_in_order() {
    let (one, other) = (Double::new(Act::Accept), Double::new(Act::Accept));
    let notifier = start(vec![setup("one", &one, 100), setup("other", &other, 100)]);
    let receipts = ReceiptSet::new();
    for label in ["a", "b", "c"] {
        receipts.add(notifier.submit(batch(label, 5)).await);
    }
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(one.record().accepted, ["a", "b", "c"]);
    assert_eq!(other.record().accepted, ["a", "b", "c"]);
    let counts = counts(&notifier, "one");
    assert_eq!((counts.delivered_samples, counts.delivered_batches), (15, 3));
    assert_eq!(state(&notifier, "one"), PublisherState::Idle);
    assert_eq!(status(&notifier, "other").url_shown, "test://***@other");
}

#[tokio::test(start_paused = true)]
async fn many_queued_batches_are_delivered_with_few_wake_ups() {
    let publisher = Double::new(Act::Accept);
    let notifier = start(vec![setup("p", &publisher, 10_000)]);
    let receipts = ReceiptSet::new();
    for label in 0..100 {
        // Nothing here yields to the publisher's task.
        receipts.add(notifier.submit(batch(&label.to_string(), 50)).await);
    }
    assert_eq!(status(&notifier, "p").queued_batches, 100);
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(receipts.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_batch_is_retried_before_the_next() {
    let publisher = Double::new(Act::Accept);
    publisher.next([Act::Accept, Act::Retry, Act::Retry, Act::Retry]);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let began = Instant::now();
    let receipts = ReceiptSet::new();
    for label in ["a", "b", "c"] {
        receipts.add(notifier.submit(batch(label, 1)).await);
    }
    publisher.until(|record| record.attempts.len() == 4).await;
    let PublisherState::Retrying {
        error,
        attempts,
        since,
    } = state(&notifier, "p")
    else {
        panic!("{:?}", state(&notifier, "p"));
    };
    assert_eq!(
        (&*error, attempts),
        ("the broker is unreachable: connection refused", 3)
    );
    assert_eq!(since, began);
    assert_eq!(receipts.open(), 2);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(publisher.record().attempts, ["a", "b", "b", "b", "b", "c"]);
    assert_eq!(counts(&notifier, "p").retries, 3);
}

#[tokio::test(start_paused = true)]
async fn the_duration_of_each_attempt_is_in_its_bucket() {
    let publisher = Double::new(Act::Accept);
    publisher.next([
        Act::AcceptAfter(Duration::from_millis(300)),
        Act::Retry,
        Act::AcceptAfter(Duration::from_secs(4)),
    ]);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipts = ReceiptSet::new();
    for label in ["a", "b"] {
        receipts.add(notifier.submit(batch(label, 1)).await);
    }
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    let durations = status(&notifier, "p").publish_durations;
    let filled: Vec<_> = durations.buckets().filter(|(_, count)| *count > 0).collect();
    assert_eq!(filled, [(0.001, 1), (0.5, 1), (5.0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn pauses_between_retries_grow_and_end_with_the_outage() {
    let publisher = Double::new(Act::Retry);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let attempts = publisher.record().attempts.len();
    assert!(
        (120..300).contains(&attempts),
        "every 15 to 30 seconds: {attempts}"
    );
    publisher.then(Act::Accept);
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    // The next failure starts with a short pause again.
    publisher.next([Act::Retry]);
    let receipt = notifier.submit(batch("b", 1)).await;
    let began = Instant::now();
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_batch_is_lost_and_the_next_is_delivered() {
    let publisher = Double::new(Act::Accept);
    publisher.next([Act::Reject]);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let rejected = notifier.submit(batch("a", 3)).await;
    let accepted = notifier.submit(batch("b", 2)).await;
    assert_eq!(rejected.outcome().await, Outcome::Dropped);
    assert_eq!(accepted.outcome().await, Outcome::Delivered);
    assert_eq!(publisher.record().attempts, ["a", "b"]);
    let counts = counts(&notifier, "p");
    assert_eq!(
        (
            counts.rejected_samples,
            counts.delivered_samples,
            counts.dropped_samples
        ),
        (3, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_partial_rejection_loses_those_samples_and_delivers_the_rest() {
    let publisher = Double::new(Act::Accept);
    publisher.next([Act::AcceptPart]);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let part = notifier.submit(batch("a", 3)).await;
    let whole = notifier.submit(batch("b", 2)).await;
    assert_eq!(part.outcome().await, Outcome::Dropped);
    assert_eq!(whole.outcome().await, Outcome::Delivered);
    assert_eq!(publisher.record().attempts, ["a", "b"]);
    assert_adds_up(&status(&notifier, "p"));
    let counts = counts(&notifier, "p");
    assert_eq!((counts.delivered_samples, counts.delivered_batches), (4, 2));
    assert_eq!((counts.rejected_samples, counts.rejected_batches), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_requested_pause_is_observed_up_to_five_minutes() {
    let publisher = Double::new(Act::Accept);
    publisher.next([
        Act::RetryAfter(Duration::from_secs(90)),
        Act::RetryAfter(Duration::from_secs(86_400)),
    ]);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let began = Instant::now();
    let receipt = notifier.submit(batch("a", 1)).await;
    publisher.until(|record| record.attempts.len() == 2).await;
    assert_eq!(began.elapsed(), Duration::from_secs(90));
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    assert_eq!(began.elapsed(), Duration::from_secs(90) + NOT_BEFORE_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_hangs_is_dropped_at_its_timeout_and_retried() {
    let publisher = Double::new(Act::Accept);
    publisher.next([Act::Hang]);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let began = Instant::now();
    let receipt = notifier.submit(batch("a", 1)).await;
    publisher.until(|record| !record.attempts.is_empty()).await;
    publisher.until(|record| record.in_flight == 0).await;
    assert_eq!(began.elapsed(), PUBLISH_TIMEOUT);
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    assert_eq!(publisher.record().attempts, ["a", "a"]);
    assert_eq!(counts(&notifier, "p").timeouts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_attempt() {
    let publisher = Double::new(Act::Accept);
    publisher.next([Act::Panic, Act::Panic]);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    publisher.until(|record| record.attempts.len() == 2).await;
    let PublisherState::Retrying { error, .. } = state(&notifier, "p") else {
        panic!("{:?}", state(&notifier, "p"));
    };
    assert_eq!(&*error, "the publisher panicked: a bug in the plugin");
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    let counts = counts(&notifier, "p");
    assert_eq!(
        (counts.panics, counts.retries, counts.delivered_samples),
        (2, 2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_publisher_limits_its_in_flight_batches() {
    let publisher = Double::with_in_flight(Act::AcceptAfter(Duration::from_secs(1)), 4);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipts = ReceiptSet::new();
    let began = Instant::now();
    for label in 0..8 {
        receipts.add(notifier.submit(batch(&label.to_string(), 1)).await);
    }
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(publisher.record().max_in_flight, 4);
    assert_eq!(began.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_single_batch_probes_whether_an_outage_is_over() {
    let publisher = Double::with_in_flight(Act::Retry, 4);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipts = ReceiptSet::new();
    for label in 0..8 {
        receipts.add(notifier.submit(batch(&label.to_string(), 1)).await);
    }
    publisher.until(|record| record.attempts.len() == 9).await;
    // Four start together and fail as one; then the oldest is retried alone.
    assert_eq!(
        publisher.record().attempts,
        ["0", "1", "2", "3", "0", "0", "0", "0", "0"]
    );
    let PublisherState::Retrying { attempts, .. } = state(&notifier, "p") else {
        panic!("{:?}", state(&notifier, "p"));
    };
    assert_eq!(attempts, 6);
    publisher.then(Act::Accept);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(
        publisher.record().accepted,
        ["0", "1", "2", "3", "4", "5", "6", "7"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_receipt_waits_for_the_slowest_publisher() {
    let (fast, slow) = (
        Double::new(Act::Accept),
        Double::new(Act::AcceptAfter(Duration::from_secs(9))),
    );
    let notifier = start(vec![setup("fast", &fast, 100), setup("slow", &slow, 100)]);
    let began = Instant::now();
    let receipt = notifier.submit(batch("a", 1)).await;
    fast.until(|record| record.accepted.len() == 1).await;
    assert_eq!(receipt.known(), None);
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    assert_eq!(began.elapsed(), Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn without_samples_or_publishers_a_batch_counts_as_delivered() {
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    assert_eq!(
        notifier.submit(batch("empty", 0)).await.outcome().await,
        Outcome::Delivered
    );
    let nowhere = start(Vec::new());
    assert_eq!(
        nowhere.submit(batch("a", 1)).await.outcome().await,
        Outcome::Delivered
    );
}

/// Encodes notifications and never finishes a publish.
struct Notifications;

#[async_trait::async_trait]
impl Publisher for Notifications {
    async fn publish(&self, _batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        std::future::pending().await
    }

    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        Some(Arc::new(OsloNotification))
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_next_batch_is_encoded_while_one_is_in_flight() {
    let setup = PublisherSetup {
        publisher: Arc::new(Notifications),
        ..setup("p", &Double::new(Act::Accept), 100)
    };
    let notifier = start(vec![setup]);
    let [first, second, third] = ["a", "b", "c"].map(|label| batch(label, 5));
    for batch in [&first, &second, &third] {
        let _ = notifier.submit(batch.clone()).await;
    }
    let encoded = async {
        while !second.is_encoded(&OsloNotification) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), encoded).await.unwrap();
    // The publisher itself has not encoded its batch yet.
    assert!(!first.is_encoded(&OsloNotification));
    assert!(!third.is_encoded(&OsloNotification));
}
