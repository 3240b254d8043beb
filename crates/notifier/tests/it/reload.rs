//! What a reload does to queues and publishers.

use std::time::Duration;

use nephoscope_notifier::{DRAIN_TIMEOUT, Outcome, PublisherState, ReceiptSet};
use tokio::time::Instant;

use crate::doubles::{Act, Double, batch, counts, setup, start, state, status};

#[tokio::test(start_paused = true)]
async fn an_unchanged_publisher_keeps_its_queue_and_what_is_under_way() {
    let publisher = Double::new(Act::TakeAfter(Duration::from_secs(8)));
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipts = ReceiptSet::new();
    receipts.add(notifier.submit(batch("a", 1)).await);
    receipts.add(notifier.submit(batch("b", 1)).await);
    publisher.until(|record| record.under_way == 1).await;
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
        "nothing was published twice"
    );
    assert_eq!(publisher.record().closed, 0);
    assert_eq!(counts(&notifier, "p").delivered_samples, 2);
}

#[tokio::test(start_paused = true)]
async fn an_added_publisher_gets_what_comes_next() {
    let (old, new) = (Double::new(Act::Take), Double::new(Act::Take));
    let notifier = start(vec![setup("old", &old, 100)]);
    drop(notifier.submit(batch("a", 1)).await);
    notifier
        .reconfigure(vec![setup("new", &new, 100), setup("old", &old, 100)])
        .await;
    let receipt = notifier.submit(batch("b", 1)).await;
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    assert_eq!(old.record().taken, ["a", "b"]);
    assert_eq!(new.record().taken, ["b"]);
    let names: Vec<_> = notifier.status().into_iter().map(|status| status.name).collect();
    assert_eq!(
        names,
        ["new".into(), "old".into()],
        "in the order of the configuration"
    );
}

#[tokio::test(start_paused = true)]
async fn a_removed_publisher_delivers_its_queue_and_is_closed() {
    let publisher = Double::new(Act::TakeAfter(Duration::from_secs(1)));
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipts = ReceiptSet::new();
    for label in ["a", "b", "c"] {
        receipts.add(notifier.submit(batch(label, 1)).await);
    }
    notifier.reconfigure(Vec::new()).await;
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    let record = publisher.record();
    assert_eq!(record.taken, ["a", "b", "c"]);
    assert_eq!(record.closed, 1);
    assert!(notifier.status().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_removed_publisher_that_delivers_nothing_is_given_up_in_time() {
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("p", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    publisher.until(|record| record.under_way == 1).await;
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
async fn a_replaced_publisher_leaves_its_queue_to_the_next() {
    // A password that was wrong, and an hour of samples that waits for it.
    let (wrong, right) = (Double::new(Act::Retry), Double::new(Act::Take));
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
        "the pause between retries was the other's"
    );
    assert_eq!(right.record().taken, ["a", "b", "c"]);
    assert_eq!((wrong.record().closed, right.record().closed), (1, 0));
    assert_eq!(counts(&notifier, "p").delivered_samples, 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_replaced_publisher_does_not_finish_is_published_again() {
    let (old, new) = (Double::new(Act::Hang), Double::new(Act::Take));
    let notifier = start(vec![setup("p", &old, 100)]);
    let receipts = ReceiptSet::new();
    receipts.add(notifier.submit(batch("a", 1)).await);
    receipts.add(notifier.submit(batch("b", 1)).await);
    old.until(|record| record.under_way == 1).await;
    let began = Instant::now();
    notifier.reconfigure(vec![setup("p", &new, 100)]).await;
    assert_eq!(began.elapsed(), DRAIN_TIMEOUT);
    assert_eq!(old.record().under_way, 0);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(new.record().taken, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_several_reloads_counts() {
    let doubles = [
        Double::new(Act::Hang),
        Double::new(Act::Take),
        Double::new(Act::Take),
    ];
    let [first, second, third] = &doubles;
    let notifier = start(vec![setup("p", first, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    first.until(|record| record.under_way == 1).await;
    tokio::join!(
        notifier.reconfigure(vec![setup("p", second, 100)]),
        notifier.reconfigure(vec![setup("p", third, 100)])
    );
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    assert_eq!(third.record().taken, ["a"]);
    assert_eq!(doubles.map(|double| double.record().closed), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_is_taken_back_leaves_the_publisher_alone() {
    let (first, second) = (
        Double::new(Act::TakeAfter(Duration::from_secs(2))),
        Double::new(Act::Take),
    );
    let notifier = start(vec![setup("p", &first, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    first.until(|record| record.under_way == 1).await;
    tokio::join!(
        notifier.reconfigure(vec![setup("p", &second, 100)]),
        notifier.reconfigure(vec![setup("p", &first, 100)])
    );
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    second.until(|record| record.closed == 1).await;
    assert_eq!(first.record().taken, ["a"]);
    assert_eq!(first.record().closed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_waits_for_room_when_its_publisher_is_removed_gets_in_or_is_counted() {
    let publisher = Double::new(Act::TakeAfter(Duration::from_millis(300)));
    let notifier = start(vec![setup("p", &publisher, 1)]);
    let receipts = ReceiptSet::new();
    receipts.add(notifier.submit(batch("a", 1)).await);
    let (receipt, ()) = tokio::join!(notifier.submit(batch("b", 1)), notifier.reconfigure(Vec::new()));
    receipts.add(receipt);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(publisher.record().taken, ["a", "b"]);
}
