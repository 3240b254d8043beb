//! The effects of a reload on queues and publishers.

use std::time::Duration;

use nephoscope_notifier::{DRAIN_TIMEOUT, Outcome, PublisherState, ReceiptSet};
use tokio::time::Instant;

use crate::doubles::{Act, Double, batch, counts, setup, start, state, status};

#[tokio::test(start_paused = true)]
async fn an_unchanged_publisher_keeps_its_queue_and_its_batches_in_flight() {
    let publisher = Double::new(Act::AcceptAfter(Duration::from_secs(8)));
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipts = ReceiptSet::new();
    receipts.add(notifier.submit(batch("a", 1)).await);
    receipts.add(notifier.submit(batch("b", 1)).await);
    publisher.until(|record| record.in_flight == 1).await;
    let mut same = setup("p", &publisher, 7);
    same.publisher = notifier.publisher("p").unwrap();
    let began = Instant::now();
    notifier.reconfigure(vec![same]).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(status(&notifier, "p").bound, 7);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(
        publisher.record().attempts,
        ["a", "b"],
        "no batch is published twice"
    );
    assert_eq!(publisher.record().closed, 0);
    assert_eq!(counts(&notifier, "p").delivered_samples, 2);
}

#[tokio::test(start_paused = true)]
async fn an_added_publisher_receives_later_batches() {
    let (old, new) = (Double::new(Act::Accept), Double::new(Act::Accept));
    let notifier = start(vec![setup("old", &old, 100)]);
    drop(notifier.submit(batch("a", 1)).await);
    notifier
        .reconfigure(vec![setup("new", &new, 100), setup("old", &old, 100)])
        .await;
    let receipt = notifier.submit(batch("b", 1)).await;
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    assert_eq!(old.record().accepted, ["a", "b"]);
    assert_eq!(new.record().accepted, ["b"]);
    let names: Vec<_> = notifier.status().into_iter().map(|status| status.name).collect();
    assert_eq!(
        names,
        ["new".into(), "old".into()],
        "in the order of the configuration"
    );
}

#[tokio::test(start_paused = true)]
async fn a_removed_publisher_delivers_its_queue_and_is_closed() {
    let publisher = Double::new(Act::AcceptAfter(Duration::from_secs(1)));
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipts = ReceiptSet::new();
    for label in ["a", "b", "c"] {
        receipts.add(notifier.submit(batch(label, 1)).await);
    }
    notifier.reconfigure(Vec::new()).await;
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    let record = publisher.record();
    assert_eq!(record.accepted, ["a", "b", "c"]);
    assert_eq!(record.closed, 1);
    assert!(notifier.status().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_removed_publisher_that_does_not_deliver_is_stopped_in_time() {
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    publisher.until(|record| record.in_flight == 1).await;
    let began = Instant::now();
    let reload = tokio::spawn({
        let notifier = notifier.clone();
        async move { notifier.reconfigure(Vec::new()).await }
    });
    tokio::task::yield_now().await;
    assert!(matches!(state(&notifier, "p"), PublisherState::Draining { .. }));
    reload.await.unwrap();
    assert_eq!(began.elapsed(), DRAIN_TIMEOUT);
    assert_eq!(receipt.outcome().await, Outcome::Dropped);
    assert_eq!(publisher.record().closed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_publisher_passes_its_queue_to_its_successor() {
    // A wrong password, and an hour of queued samples.
    let (wrong, right) = (Double::new(Act::Retry), Double::new(Act::Accept));
    let notifier = start(vec![setup("p", &wrong, 100)]);
    let receipts = ReceiptSet::new();
    for label in ["a", "b", "c"] {
        receipts.add(notifier.submit(batch(label, 1)).await);
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let began = Instant::now();
    notifier.reconfigure(vec![setup("p", &right, 100)]).await;
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(
        began.elapsed(),
        Duration::ZERO,
        "the successor does not inherit the pause"
    );
    assert_eq!(right.record().accepted, ["a", "b", "c"]);
    assert_eq!((wrong.record().closed, right.record().closed), (1, 0));
    assert_eq!(counts(&notifier, "p").delivered_samples, 3);
}

#[tokio::test(start_paused = true)]
async fn unfinished_batches_of_a_replaced_publisher_are_published_again() {
    let (old, new) = (Double::new(Act::Hang), Double::new(Act::Accept));
    let notifier = start(vec![setup("p", &old, 100)]);
    let receipts = ReceiptSet::new();
    receipts.add(notifier.submit(batch("a", 1)).await);
    receipts.add(notifier.submit(batch("b", 1)).await);
    old.until(|record| record.in_flight == 1).await;
    let began = Instant::now();
    notifier.reconfigure(vec![setup("p", &new, 100)]).await;
    assert_eq!(began.elapsed(), DRAIN_TIMEOUT);
    assert_eq!(old.record().in_flight, 0);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(new.record().accepted, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_several_reloads_wins() {
    let doubles = [
        Double::new(Act::Hang),
        Double::new(Act::Accept),
        Double::new(Act::Accept),
    ];
    let [first, second, third] = &doubles;
    let notifier = start(vec![setup("p", first, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    first.until(|record| record.in_flight == 1).await;
    tokio::join!(
        notifier.reconfigure(vec![setup("p", second, 100)]),
        notifier.reconfigure(vec![setup("p", third, 100)])
    );
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    assert_eq!(third.record().accepted, ["a"]);
    assert_eq!(doubles.map(|double| double.record().closed), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_reverted_reload_does_not_touch_the_publisher() {
    let (first, second) = (
        Double::new(Act::AcceptAfter(Duration::from_secs(2))),
        Double::new(Act::Accept),
    );
    let notifier = start(vec![setup("p", &first, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    first.until(|record| record.in_flight == 1).await;
    tokio::join!(
        notifier.reconfigure(vec![setup("p", &second, 100)]),
        notifier.reconfigure(vec![setup("p", &first, 100)])
    );
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    second.until(|record| record.closed == 1).await;
    assert_eq!(first.record().accepted, ["a"]);
    assert_eq!(first.record().closed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_waits_while_its_publisher_is_removed_is_queued_or_counted() {
    let publisher = Double::new(Act::AcceptAfter(Duration::from_millis(300)));
    let notifier = start(vec![setup("p", &publisher, 1)]);
    let receipts = ReceiptSet::new();
    receipts.add(notifier.submit(batch("a", 1)).await);
    let (receipt, ()) = tokio::join!(notifier.submit(batch("b", 1)), notifier.reconfigure(Vec::new()));
    receipts.add(receipt);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(publisher.record().accepted, ["a", "b"]);
}
