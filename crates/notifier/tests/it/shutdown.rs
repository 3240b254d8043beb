//! The effects of a stop on queued batches.

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
async fn a_stop_drains_the_queues_and_closes_the_publishers() {
    let publisher = Double::new(Act::AcceptAfter(Duration::from_secs(1)));
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipts = ReceiptSet::new();
    for label in ["a", "b", "c"] {
        receipts.add(notifier.submit(batch(label, 1)).await);
    }
    let began = Instant::now();
    let report = notifier.shutdown(Instant::now() + Duration::from_secs(30)).await;
    assert_eq!(
        began.elapsed(),
        Duration::from_secs(3),
        "no longer than necessary"
    );
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
async fn batches_that_remain_at_the_deadline_are_counted() {
    let (stuck, healthy) = (Double::new(Act::Hang), Double::new(Act::Accept));
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
async fn a_publisher_in_a_long_pause_is_retried_immediately() {
    let publisher = Double::new(Act::Retry);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    publisher.then(Act::Accept);
    publisher.next([Act::Retry, Act::Retry]);
    let report = notifier.shutdown(Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(report.dropped_samples(), 0);
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_may_have_an_earlier_deadline() {
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    drop(notifier.submit(batch("a", 1)).await);
    let began = Instant::now();
    let (first, second) = tokio::join!(
        notifier.shutdown(began + Duration::from_secs(30)),
        notifier.shutdown(began)
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(first, second);
    assert_eq!(second.dropped_samples(), 1);
}

#[tokio::test(start_paused = true)]
async fn batches_after_a_stop_are_dropped_and_counted() {
    let publisher = Double::new(Act::Accept);
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
async fn dropping_the_notifier_drains_the_queues() {
    let publisher = Double::new(Act::AcceptAfter(Duration::from_secs(1)));
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    drop(notifier);
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    publisher.until(|record| record.closed == 1).await;
}

/// A publisher with every possible fault.
struct FaultyPublisher;

/// Panics when it is dropped.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[async_trait::async_trait]
impl Publisher for FaultyPublisher {
    async fn publish(&self, _batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        let _panics = PanicsOnDrop;
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
async fn a_publisher_that_panics_when_dropped_and_never_closes_delays_no_other() {
    let faulty = PublisherSetup {
        name: "faulty".into(),
        url_shown: "test:".to_owned(),
        publisher: Arc::new(FaultyPublisher),
        queue: 100,
        spool: None,
        selectors: Selectors::default(),
    };
    let healthy = Double::new(Act::Accept);
    let notifier = Notifier::start(
        vec![faulty, setup("healthy", &healthy, 100)],
        NotifierOptions::default(),
        &Handle::current(),
    );
    drop(notifier.submit(batch("a", 1)).await);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(counts(&notifier, "faulty").panics >= 2, "dropped at the timeout");
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
