//! The effects of a full queue on cycles, on other publishers and on samples.

use std::time::Duration;

use nephoscope_notifier::{
    FULL_QUEUE_TIMEOUT, Notifier, NotifierOptions, Outcome, PublisherState, ReceiptSet,
};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::doubles::{Act, Double, assert_adds_up, batch, counts, setup, start, state, status};

#[tokio::test(start_paused = true)]
async fn a_submission_waits_while_the_publisher_makes_progress() {
    let publisher = Double::new(Act::AcceptAfter(FULL_QUEUE_TIMEOUT / 2));
    let notifier = start(vec![setup("p", &publisher, 2)]);
    let receipts = ReceiptSet::new();
    for label in 0..20 {
        receipts.add(notifier.submit(batch(&label.to_string(), 1)).await);
        assert_adds_up(&status(&notifier, "p"));
    }
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(counts(&notifier, "p").dropped_samples, 0);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_without_progress_loses_its_oldest_batches() {
    let publisher = Double::new(Act::Retry);
    let notifier = start(vec![setup("p", &publisher, 3)]);
    let mut receipts = Vec::new();
    for label in ["a", "b", "c"] {
        receipts.push(notifier.submit(batch(label, 1)).await);
    }
    let began = Instant::now();
    receipts.push(notifier.submit(batch("d", 1)).await);
    assert_eq!(
        began.elapsed(),
        FULL_QUEUE_TIMEOUT,
        "the first submission to the full queue waits"
    );
    let began = Instant::now();
    receipts.push(notifier.submit(batch("e", 1)).await);
    assert_eq!(began.elapsed(), Duration::ZERO, "the next one does not wait");
    let PublisherState::Blocked { dropped, error, .. } = state(&notifier, "p") else {
        panic!("{:?}", state(&notifier, "p"));
    };
    assert_eq!(dropped, 2);
    assert_eq!(
        error.as_deref(),
        Some("the broker is unreachable: connection refused")
    );
    assert_adds_up(&status(&notifier, "p"));

    publisher.then(Act::Accept);
    let mut outcomes = Vec::new();
    for receipt in receipts {
        outcomes.push(receipt.outcome().await);
    }
    use Outcome::{Delivered, Dropped};
    assert_eq!(outcomes, [Dropped, Dropped, Delivered, Delivered, Delivered]);
    assert_eq!(publisher.record().accepted, ["c", "d", "e"]);
    assert_eq!(state(&notifier, "p"), PublisherState::Idle);
    assert_eq!(counts(&notifier, "p").dropped_samples, 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_flight_is_not_dropped() {
    let publisher = Double::new(Act::AcceptAfter(Duration::from_secs(20)));
    let notifier = start(vec![setup("p", &publisher, 2)]);
    let in_flight = notifier.submit(batch("a", 1)).await;
    publisher.until(|record| record.in_flight == 1).await;
    let queued = notifier.submit(batch("b", 1)).await;
    let newest = notifier.submit(batch("c", 1)).await;
    assert_eq!(queued.outcome().await, Outcome::Dropped);
    assert_eq!(in_flight.outcome().await, Outcome::Delivered);
    assert_eq!(newest.outcome().await, Outcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_does_not_fit_next_to_one_in_flight_is_dropped() {
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("p", &publisher, 10)]);
    let _in_flight = notifier.submit(batch("a", 8)).await;
    publisher.until(|record| record.in_flight == 1).await;
    let queued = notifier.submit(batch("b", 2)).await;
    let large = notifier.submit(batch("c", 5)).await;
    assert_eq!(large.outcome().await, Outcome::Dropped);
    assert_eq!(queued.known(), None, "no other batch is dropped without need");
    assert_adds_up(&status(&notifier, "p"));
}

#[tokio::test(start_paused = true)]
async fn a_batch_beyond_the_limit_is_queued_alone() {
    let publisher = Double::new(Act::Accept);
    let notifier = start(vec![setup("p", &publisher, 10)]);
    let receipts = ReceiptSet::new();
    receipts.add(notifier.submit(batch("a", 50)).await);
    receipts.add(notifier.submit(batch("b", 50)).await);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(counts(&notifier, "p").delivered_samples, 100);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_publisher_delays_neither_another_nor_a_cycle() {
    let (stuck, healthy) = (Double::new(Act::Hang), Double::new(Act::Accept));
    let notifier = start(vec![setup("stuck", &stuck, 10), setup("healthy", &healthy, 10)]);
    let began = Instant::now();
    for label in 0..100 {
        // Cycles over 100 s.
        let label = label.to_string();
        let submitted = Instant::now();
        let submit = notifier.submit(batch(&label, 1));
        let accepted = healthy.until(|record| record.accepted.last() == Some(&label));
        let (receipt, accepted_after) = tokio::join!(submit, async {
            accepted.await;
            submitted.elapsed()
        });
        drop(receipt);
        assert_eq!(accepted_after, Duration::ZERO, "batch {label}");
        sleep(Duration::from_secs(1)).await;
    }
    let late = began.elapsed() - Duration::from_secs(100);
    assert!(
        late <= FULL_QUEUE_TIMEOUT,
        "the cycles were delayed by {late:?} in total"
    );
    assert_eq!(healthy.record().accepted.len(), 100);
    let blocked = status(&notifier, "stuck");
    assert_adds_up(&blocked);
    assert_eq!(blocked.counts.dropped_samples, 90);
    assert!(
        matches!(blocked.state, PublisherState::Blocked { .. }),
        "{blocked:?}"
    );
    assert!(
        blocked.oldest_age.unwrap() > Duration::from_secs(5),
        "{blocked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_submission_waits_for_two_full_publishers_concurrently() {
    let (one, other) = (Double::new(Act::Hang), Double::new(Act::Hang));
    let notifier = start(vec![setup("one", &one, 1), setup("other", &other, 1)]);
    let began = Instant::now();
    for label in ["a", "b", "c"] {
        drop(notifier.submit(batch(label, 1)).await);
    }
    assert_eq!(began.elapsed(), FULL_QUEUE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn all_waiting_submissions_are_queued() {
    let publisher = Double::new(Act::AcceptAfter(Duration::from_millis(10)));
    let notifier = start(vec![setup("p", &publisher, 8)]);
    let submissions: Vec<_> = (0..200)
        .map(|label: u32| {
            let notifier = notifier.clone();
            tokio::spawn(async move {
                notifier
                    .submit(batch(&label.to_string(), 2))
                    .await
                    .outcome()
                    .await
            })
        })
        .collect();
    for submission in submissions {
        assert_eq!(submission.await.unwrap(), Outcome::Delivered);
    }
    assert_eq!(counts(&notifier, "p").delivered_samples, 400);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_submission_is_counted() {
    let (stuck, healthy) = (Double::new(Act::Hang), Double::new(Act::Accept));
    let notifier = start(vec![setup("stuck", &stuck, 1), setup("healthy", &healthy, 1)]);
    drop(notifier.submit(batch("a", 1)).await);
    let waiting = notifier.submit(batch("b", 1));
    assert!(timeout(FULL_QUEUE_TIMEOUT / 2, waiting).await.is_err());
    assert_eq!(counts(&notifier, "stuck").dropped_samples, 1);
    assert_adds_up(&status(&notifier, "stuck"));
    healthy.until(|record| record.accepted == ["a", "b"]).await;
}

/// With real threads: a missed wake-up hangs the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cycles_on_many_threads_miss_no_wake_up() {
    let publishers = [Double::new(Act::Accept), Double::with_in_flight(Act::Accept, 3)];
    let [one, other] = &publishers;
    // Longer than a busy machine delays this test.
    let options = NotifierOptions {
        full_queue_timeout: Duration::from_secs(600),
        ..NotifierOptions::default()
    };
    let setups = vec![setup("one", one, 16), setup("other", other, 8)];
    let notifier = Notifier::start(setups, options, &Handle::current());
    let cycles: Vec<_> = (0..8)
        .map(|_| {
            let notifier = notifier.clone();
            tokio::spawn(async move {
                let receipts = ReceiptSet::new();
                let batch = batch("a", 2);
                for _ in 0..500 {
                    receipts.add(notifier.submit(batch.clone()).await);
                }
                receipts.outcome().await
            })
        })
        .collect();
    for cycle in cycles {
        let outcome = timeout(Duration::from_secs(120), cycle)
            .await
            .expect("no submission hangs");
        assert_eq!(outcome.unwrap(), Outcome::Delivered);
    }
    for name in ["one", "other"] {
        assert_eq!(counts(&notifier, name).delivered_samples, 8000);
        assert_adds_up(&status(&notifier, name));
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_submissions_end_when_the_publisher_counts_as_blocked() {
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("p", &publisher, 2)]);
    for label in ["a", "b"] {
        drop(notifier.submit(batch(label, 1)).await);
    }
    let began = Instant::now();
    let later = async {
        sleep(FULL_QUEUE_TIMEOUT / 2).await;
        notifier.submit(batch("d", 1)).await
    };
    let receipts = tokio::join!(notifier.submit(batch("c", 1)), later);
    drop(receipts);
    assert_eq!(
        began.elapsed(),
        FULL_QUEUE_TIMEOUT,
        "no submission waits longer than the first"
    );
}
