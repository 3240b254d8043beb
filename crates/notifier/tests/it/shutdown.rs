//! What a stop of the agent means for what is queued.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Batch;
use nephoscope_notifier::{
    Notifier, NotifierOptions, Outcome, PublisherEnd, PublisherSetup, PublisherState, ReceiptSet, Selectors,
};
use nephoscope_plugin::{Accepted, PublishError, Publisher};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::doubles::{Act, Double, assert_adds_up, batch, counts, setup, start, state, status};

#[tokio::test(start_paused = true)]
async fn queues_are_emptied_and_publishers_closed() {
    let publisher = Double::new(Act::TakeAfter(Duration::from_secs(1)));
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipts = ReceiptSet::new();
    for label in ["a", "b", "c"] {
        receipts.add(notifier.submit(batch(label, 1)).await);
    }
    let began = Instant::now();
    let report = notifier.shutdown(Instant::now() + Duration::from_secs(30)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(3), "no longer than it takes");
    let end = PublisherEnd {
        name: "p".into(),
        dropped_samples: 0,
        dropped_batches: 0,
        closed: true,
    };
    assert_eq!(report.publishers, [end]);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(publisher.record().closed, 1);
    assert_eq!(state(&notifier, "p"), PublisherState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_deadline_is_counted() {
    let (stuck, healthy) = (Double::new(Act::Hang), Double::new(Act::Take));
    let notifier = start(vec![setup("stuck", &stuck, 100), setup("healthy", &healthy, 100)]);
    let receipts = ReceiptSet::new();
    for label in ["a", "b", "c"] {
        receipts.add(notifier.submit(batch(label, 2)).await);
    }
    let began = Instant::now();
    let report = notifier.shutdown(Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_eq!(report.dropped_samples(), 6);
    let dropped: Vec<_> = report.publishers.iter().map(|end| end.dropped_batches).collect();
    assert_eq!(dropped, [3, 0]);
    assert_eq!(receipts.outcome().await, Outcome::Dropped);
    assert_eq!(counts(&notifier, "stuck").dropped_samples, 6);
    assert_adds_up(&status(&notifier, "stuck"));
    assert_eq!((stuck.record().closed, healthy.record().closed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_publisher_in_a_long_pause_is_tried_at_once() {
    let publisher = Double::new(Act::Retry);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    publisher.then(Act::Take);
    publisher.next([Act::Retry, Act::Retry]);
    let report = notifier.shutdown(Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(report.dropped_samples(), 0);
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_may_be_more_urgent() {
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    drop(notifier.submit(batch("a", 1)).await);
    let began = Instant::now();
    let (patient, urgent) = tokio::join!(
        notifier.shutdown(began + Duration::from_secs(30)),
        notifier.shutdown(began)
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(patient, urgent);
    assert_eq!(urgent.dropped_samples(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_stop_is_dropped_and_counted() {
    let publisher = Double::new(Act::Take);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    drop(notifier.shutdown(Instant::now()).await);
    let receipt = notifier.submit(batch("a", 2)).await;
    assert_eq!(receipt.outcome().await, Outcome::Dropped);
    assert_eq!(counts(&notifier, "p").dropped_samples, 2);
    assert_adds_up(&status(&notifier, "p"));
    notifier.reconfigure(vec![setup("q", &publisher, 100)]).await;
    assert!(notifier.publisher("q").is_none());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_notifier_empties_the_queues_too() {
    let publisher = Double::new(Act::TakeAfter(Duration::from_secs(1)));
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    drop(notifier);
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    publisher.until(|record| record.closed == 1).await;
}

/// A publisher that does everything wrong that can be done.
struct Villain;

/// Panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[async_trait::async_trait]
impl Publisher for Villain {
    async fn publish(&self, _batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        let _grenade = Grenade;
        std::future::pending().await
    }

    fn in_flight(&self) -> usize {
        panic!("in_flight")
    }

    async fn close(&self) {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_panics_when_dropped_and_never_closes_holds_nothing_up() {
    let villain = PublisherSetup {
        name: "villain".into(),
        url_shown: "test:".to_owned(),
        publisher: Arc::new(Villain),
        queue: 100,
        spool: None,
        selectors: Selectors::default(),
    };
    let healthy = Double::new(Act::Take);
    let notifier = Notifier::start(
        vec![villain, setup("healthy", &healthy, 100)],
        NotifierOptions::default(),
        &Handle::current(),
    );
    drop(notifier.submit(batch("a", 1)).await);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(counts(&notifier, "villain").panics >= 2, "dropped at the timeout");
    let began = Instant::now();
    let report = notifier.shutdown(Instant::now() + Duration::from_secs(2)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    let ends: Vec<_> = report
        .publishers
        .iter()
        .map(|end| (end.dropped_samples, end.closed))
        .collect();
    assert_eq!(ends, [(1, false), (0, true)]);
}
