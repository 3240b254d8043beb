//! What a full queue means for cycles, for other publishers, and for samples.

use std::time::Duration;

use nephoscope_notifier::{Notifier, NotifierOptions, Outcome, PATIENCE, PublisherState, ReceiptSet};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::doubles::{Act, Double, assert_adds_up, batch, counts, setup, start, state, status};

#[tokio::test(start_paused = true)]
async fn a_hand_over_waits_while_the_publisher_takes_batches() {
    let publisher = Double::new(Act::TakeAfter(PATIENCE / 2));
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
async fn a_publisher_that_takes_nothing_loses_its_oldest_batches() {
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
        PATIENCE,
        "the first hand-over to the full queue waits"
    );
    let began = Instant::now();
    receipts.push(notifier.submit(batch("e", 1)).await);
    assert_eq!(began.elapsed(), Duration::ZERO, "the next does not");
    let PublisherState::Blocked { dropped, error, .. } = state(&notifier, "p") else {
        panic!("{:?}", state(&notifier, "p"));
    };
    assert_eq!(dropped, 2);
    assert_eq!(error.as_deref(), Some("the broker is away: connection refused"));
    assert_adds_up(&status(&notifier, "p"));

    publisher.then(Act::Take);
    let mut outcomes = Vec::new();
    for receipt in receipts {
        outcomes.push(receipt.outcome().await);
    }
    use Outcome::{Delivered, Dropped};
    assert_eq!(outcomes, [Dropped, Dropped, Delivered, Delivered, Delivered]);
    assert_eq!(publisher.record().taken, ["c", "d", "e"]);
    assert_eq!(state(&notifier, "p"), PublisherState::Idle);
    assert_eq!(counts(&notifier, "p").dropped_samples, 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_under_way_is_not_dropped() {
    let publisher = Double::new(Act::TakeAfter(Duration::from_secs(20)));
    let notifier = start(vec![setup("p", &publisher, 2)]);
    let under_way = notifier.submit(batch("a", 1)).await;
    publisher.until(|record| record.under_way == 1).await;
    let queued = notifier.submit(batch("b", 1)).await;
    let newest = notifier.submit(batch("c", 1)).await;
    assert_eq!(queued.outcome().await, Outcome::Dropped);
    assert_eq!(under_way.outcome().await, Outcome::Delivered);
    assert_eq!(newest.outcome().await, Outcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_place_beside_a_batch_under_way_is_dropped_itself() {
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("p", &publisher, 10)]);
    let _under_way = notifier.submit(batch("a", 8)).await;
    publisher.until(|record| record.under_way == 1).await;
    let queued = notifier.submit(batch("b", 2)).await;
    let large = notifier.submit(batch("c", 5)).await;
    assert_eq!(large.outcome().await, Outcome::Dropped);
    assert_eq!(queued.known(), None, "no other batch goes for nothing");
    assert_adds_up(&status(&notifier, "p"));
}

#[tokio::test(start_paused = true)]
async fn a_batch_beyond_the_bound_goes_alone() {
    let publisher = Double::new(Act::Take);
    let notifier = start(vec![setup("p", &publisher, 10)]);
    let receipts = ReceiptSet::new();
    receipts.add(notifier.submit(batch("a", 50)).await);
    receipts.add(notifier.submit(batch("b", 50)).await);
    assert_eq!(receipts.outcome().await, Outcome::Delivered);
    assert_eq!(counts(&notifier, "p").delivered_samples, 100);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_publisher_delays_neither_another_nor_a_cycle() {
    let (stuck, healthy) = (Double::new(Act::Hang), Double::new(Act::Take));
    let notifier = start(vec![setup("stuck", &stuck, 10), setup("healthy", &healthy, 10)]);
    let began = Instant::now();
    for label in 0..100 {
        // Cycles that go on for 100 s.
        let label = label.to_string();
        let handed_over = Instant::now();
        let submit = notifier.submit(batch(&label, 1));
        let taken = healthy.until(|record| record.taken.last() == Some(&label));
        let (receipt, taken_after) = tokio::join!(submit, async {
            taken.await;
            handed_over.elapsed()
        });
        drop(receipt);
        assert_eq!(taken_after, Duration::ZERO, "batch {label}");
        sleep(Duration::from_secs(1)).await;
    }
    let late = began.elapsed() - Duration::from_secs(100);
    assert!(late <= PATIENCE, "the cycles lost {late:?} in all");
    assert_eq!(healthy.record().taken.len(), 100);
    let blocked = status(&notifier, "stuck");
    assert_adds_up(&blocked);
    assert_eq!(blocked.counts.dropped_samples, 90);
    assert!(
        matches!(blocked.state, PublisherState::Blocked { .. }),
        "{blocked:?}"
    );
    assert!(blocked.oldest.unwrap() > Duration::from_secs(5), "{blocked:?}");
}

#[tokio::test(start_paused = true)]
async fn two_full_publishers_are_waited_for_together() {
    let (one, other) = (Double::new(Act::Hang), Double::new(Act::Hang));
    let notifier = start(vec![setup("one", &one, 1), setup("other", &other, 1)]);
    let began = Instant::now();
    for label in ["a", "b", "c"] {
        drop(notifier.submit(batch(label, 1)).await);
    }
    assert_eq!(began.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_for_room_all_get_in() {
    let publisher = Double::new(Act::TakeAfter(Duration::from_millis(10)));
    let notifier = start(vec![setup("p", &publisher, 8)]);
    let hand_overs: Vec<_> = (0..200)
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
    for hand_over in hand_overs {
        assert_eq!(hand_over.await.unwrap(), Outcome::Delivered);
    }
    assert_eq!(counts(&notifier, "p").delivered_samples, 400);
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_that_is_given_up_is_counted() {
    let (stuck, healthy) = (Double::new(Act::Hang), Double::new(Act::Take));
    let notifier = start(vec![setup("stuck", &stuck, 1), setup("healthy", &healthy, 1)]);
    drop(notifier.submit(batch("a", 1)).await);
    let waiting = notifier.submit(batch("b", 1));
    assert!(timeout(PATIENCE / 2, waiting).await.is_err());
    assert_eq!(counts(&notifier, "stuck").dropped_samples, 1);
    assert_adds_up(&status(&notifier, "stuck"));
    healthy.until(|record| record.taken == ["a", "b"]).await;
}

/// With real threads: whoever misses a wake-up hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cycles_on_many_threads_miss_no_wake_up() {
    let publishers = [Double::new(Act::Take), Double::with_in_flight(Act::Take, 3)];
    let [one, other] = &publishers;
    // Patience beyond what a busy machine can take away from this test.
    let options = NotifierOptions {
        patience: Duration::from_secs(600),
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
            .expect("nobody hangs");
        assert_eq!(outcome.unwrap(), Outcome::Delivered);
    }
    for name in ["one", "other"] {
        assert_eq!(counts(&notifier, name).delivered_samples, 8000);
        assert_adds_up(&status(&notifier, name));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_publisher_is_let_go_when_it_counts_as_blocked() {
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("p", &publisher, 2)]);
    for label in ["a", "b"] {
        drop(notifier.submit(batch(label, 1)).await);
    }
    let began = Instant::now();
    let later = async {
        sleep(PATIENCE / 2).await;
        notifier.submit(batch("d", 1)).await
    };
    let receipts = tokio::join!(notifier.submit(batch("c", 1)), later);
    drop(receipts);
    assert_eq!(
        began.elapsed(),
        PATIENCE,
        "nobody waits for a patience of his own"
    );
}
