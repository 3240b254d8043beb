//! Stops, reloads, rejections, and the status.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Batch, Encoding, OsloNotification};
use nephoscope_notifier::spool::{Fsync, Order, Spool, SpoolMode, SpoolOptions};
use nephoscope_notifier::{
    Notifier, NotifierOptions, Outcome, PublisherSetup, PublisherState, PublisherStatus, Selectors,
};
use nephoscope_plugin::{Accepted, PublishError, Publisher};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::sim::Sim;
use crate::world::{
    Agent, Destination, Double, LONG, Other, assert_adds_up, batch, labels, options, outcome, setup,
};

fn overflow() -> SpoolOptions {
    options(SpoolMode::Overflow, Fsync::Always, Order::NewestFirst)
}

#[tokio::test]
async fn a_stop_stores_the_remaining_batches_immediately_if_the_destination_is_unreachable() {
    let sim = Sim::default();
    let agent = Agent::start(&sim, Destination::Unreachable, 100, overflow()).await;
    let receipts = agent.submit_all(labels(0..5)).await;
    // The stop does not use up its half minute.
    let report = tokio::time::timeout(Duration::from_secs(20), agent.stop(Duration::from_secs(30)))
        .await
        .unwrap();
    assert_eq!(report.dropped_samples(), 0);
    for (_, receipt) in receipts {
        assert_eq!(outcome(receipt).await, Outcome::Stored);
    }
    let next = Agent::start(&sim.after_power_failure(1), Destination::Accepts, 100, overflow()).await;
    let mut accepted = next.publisher.has_accepted(5).await;
    accepted.sort();
    assert_eq!(accepted, labels(0..5).collect::<Vec<_>>());
    next.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_publisher_whose_spool_is_writable_is_not_blocked() {
    let sim = Sim::default();
    let agent = Agent::start(&sim, Destination::Hangs, 10, overflow()).await;
    drop(agent.submit_all(labels(0..10)).await);
    // Neither the disk nor the destination accepts anything: submissions time out.
    sim.set_capacity(Some(sim.used()));
    drop(agent.submit_all(labels(10..40)).await);
    agent
        .until(|status| matches!(status.state, PublisherState::Blocked { .. }))
        .await;
    assert!(agent.status().spool.unwrap().failing.is_some());
    sim.set_capacity(None);
    agent
        .until(|status| !matches!(status.state, PublisherState::Blocked { .. }))
        .await;
    agent.publisher.now(Destination::Accepts);
    agent.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_disk_with_free_space_is_used_again_while_the_destination_accepts_everything() {
    let sim = Sim::default();
    let always = options(SpoolMode::Always, Fsync::Always, Order::NewestFirst);
    let agent = Agent::start(&sim, Destination::Accepts, 100, always).await;
    sim.set_capacity(Some(sim.used()));
    let (_, receipt) = agent.submit_all(["full".to_owned()]).await.remove(0);
    assert_eq!(outcome(receipt).await, Outcome::Delivered);
    assert!(agent.status().spool.unwrap().failing.is_some());
    sim.set_capacity(None);
    for number in 0.. {
        let (_, receipt) = agent.submit_all([format!("{number}")]).await.remove(0);
        outcome(receipt).await;
        if agent.status().spool.unwrap().failing.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_adds_up(&agent.status());
    agent.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn remaining_batches_at_a_stop_on_a_full_disk_are_dropped_and_counted() {
    let sim = Sim::default();
    let agent = Agent::start(&sim, Destination::Unreachable, 100, overflow()).await;
    sim.set_capacity(Some(sim.used()));
    let receipts = agent.submit_all(labels(0..5)).await;
    let report = agent.stop(Duration::from_secs(1)).await;
    assert_eq!(report.dropped_samples(), 5);
    for (_, receipt) in receipts {
        assert_eq!(outcome(receipt).await, Outcome::Dropped);
    }
}

/// Records the addresses of the bytes that it publishes.
#[derive(Default)]
struct Addresses(Mutex<Vec<usize>>);

#[async_trait::async_trait]
impl Publisher for Addresses {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        self.0
            .lock()
            .push(batch.encoded(&OsloNotification).unwrap().as_ptr() as usize);
        Ok(Accepted::all())
    }

    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        Some(Arc::new(OsloNotification))
    }
}

#[tokio::test]
async fn a_batch_is_encoded_once_for_all_publishers_with_the_same_encoding() {
    let publishers = [(); 3].map(|()| Arc::new(Addresses::default()));
    let sim = Sim::default();
    let disk = Box::new(sim.clone());
    let spool = Spool::open_on("p".into(), "sim".into(), move || Ok(disk as _), overflow());
    let spool = spool.await.unwrap();
    let setups = publishers
        .iter()
        .enumerate()
        .map(|(number, publisher)| PublisherSetup {
            name: format!("p{number}").into(),
            url_shown: "test:".to_owned(),
            publisher: publisher.clone(),
            queue: 100,
            // A publisher with a spool shares them, too.
            spool: (number == 0).then(|| spool.clone()),
            selectors: Selectors::default(),
        });
    let notifier = Notifier::start(setups.collect(), NotifierOptions::default(), &Handle::current());
    let batch = batch("b", 3);
    let bytes = batch.encoded(&OsloNotification).unwrap().as_ptr() as usize;
    assert_eq!(
        outcome(notifier.submit(batch.clone()).await).await,
        Outcome::Delivered
    );
    for publisher in &publishers {
        assert_eq!(*publisher.0.lock(), [bytes]);
    }
    notifier
        .shutdown(tokio::time::Instant::now() + Duration::from_secs(5))
        .await;
}

#[tokio::test]
async fn an_immediate_stop_stores_all_batches() {
    let sim = Sim::default();
    let agent = Agent::start(&sim, Destination::Hangs, 100, overflow()).await;
    let receipts = agent.submit_all(labels(0..5)).await;
    let report = agent.stop(Duration::ZERO).await;
    assert_eq!(report.dropped_samples(), 0);
    for (_, receipt) in receipts {
        assert_eq!(outcome(receipt).await, Outcome::Stored);
    }
}

#[tokio::test]
async fn a_reload_with_the_same_spool_keeps_it_and_one_without_closes_it() {
    let sim = Sim::default();
    let agent = Agent::start(&sim, Destination::Unreachable, 4, overflow()).await;
    let receipts = agent.submit_all(labels(0..20)).await;
    let spool = agent.notifier.spool("p").unwrap();
    let publisher = Double::new(Destination::Unreachable, 1);
    agent
        .notifier
        .reconfigure(vec![setup(publisher.clone(), spool, 4)])
        .await;
    assert_eq!(agent.status().counts.submitted_samples, 20, "the same lane");
    publisher.now(Destination::Accepts);
    assert_eq!(publisher.has_accepted(20).await.len(), 20);
    drop(receipts);
    let stays = agent.submit("21").await;
    assert!(outcome(stays).await <= Outcome::Stored);
    agent.notifier.reconfigure(Vec::new()).await;
    assert!(agent.notifier.status().is_empty());
}

#[tokio::test]
async fn rejected_batches_become_dead_letters_with_the_reason() {
    for mode in [SpoolMode::Overflow, SpoolMode::Always] {
        let sim = Sim::default();
        let bounds = SpoolOptions {
            mode,
            dead_letter_bytes: 8192,
            ..overflow()
        };
        let agent = Agent::start(&sim, Destination::RejectsX, 100, bounds).await;
        let receipts = agent.submit_all(["a", "x1", "b", "x2"].map(str::to_owned)).await;
        let mut accepted = agent.publisher.has_accepted(2).await;
        accepted.sort();
        assert_eq!(accepted, ["a", "b"], "the others are delivered");
        for (label, receipt) in receipts {
            let expected = match (mode, label.starts_with('x')) {
                (SpoolMode::Overflow, true) => Outcome::Dropped,
                (SpoolMode::Overflow, false) => Outcome::Delivered,
                (SpoolMode::Always, _) => Outcome::Stored,
            };
            assert_eq!(outcome(receipt).await, expected, "{mode:?} {label}");
        }
        agent.until(|status| status.counts.rejected_batches == 2).await;
        agent.stop(Duration::from_secs(5)).await;
        let status = agent.status();
        assert_eq!(status.spool.unwrap().dead_letter.batches, 2);
        let letters = String::from_utf8(sim.bytes("dead_letter.jsonl")).unwrap();
        for line in letters.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["reason"], "no x");
            assert_eq!(line["encoding"], "json-lines/1");
            assert!(line["body"].as_str().unwrap().contains("\"resource_id\":\"x"));
        }
        assert_eq!(letters.lines().count(), 2);
    }
}

#[tokio::test]
async fn dead_letters_are_bounded() {
    let sim = Sim::default();
    let bounds = SpoolOptions {
        dead_letter_bytes: 8192,
        ..overflow()
    };
    let agent = Agent::start(&sim, Destination::RejectsX, 1000, bounds).await;
    let receipts = agent
        .submit_all((0..100).map(|number| format!("x{number}")))
        .await;
    for (_, receipt) in receipts {
        assert_eq!(outcome(receipt).await, Outcome::Dropped);
    }
    agent.stop(Duration::from_secs(5)).await;
    let dead_letter = agent.status().spool.unwrap().dead_letter;
    assert_eq!(dead_letter.batches + dead_letter.lost, 100);
    assert!(
        dead_letter.batches > 5 && dead_letter.bytes <= 8192,
        "{dead_letter:?}"
    );
    assert!(
        String::from_utf8(sim.bytes("dead_letter.jsonl"))
            .unwrap()
            .contains("x99"),
        "the latest are present"
    );
}

/// The unsupported encodings in a spool, with the number of batches of each.
fn unsupported(status: &PublisherStatus) -> Vec<(String, u64)> {
    let spool = status.spool.as_ref().unwrap();
    let unsupported = spool
        .unsupported()
        .map(|stored| (stored.contents.to_string(), stored.batches));
    unsupported.collect()
}

#[tokio::test]
async fn batches_of_another_encoding_stay_until_a_publisher_accepts_them() {
    for order in [Order::Fifo, Order::NewestFirst] {
        let sim = Sim::default();
        let always = options(SpoolMode::Always, Fsync::Always, order);
        let agent = Agent::start(&sim, Destination::Unreachable, 100, always.clone()).await;
        drop(agent.submit_all(labels(0..3)).await);
        agent.stop(Duration::ZERO).await;
        // The next agent has a publisher of another encoding.
        let mut agent = Agent::start(&sim.after_kill(), Destination::Unreachable, 100, always).await;
        let other = Double::of(Arc::new(Other), Destination::Accepts, 1);
        agent.reload(other.clone(), 100).await;
        drop(agent.submit_all(["new", "newer"].map(str::to_owned)).await);
        assert_eq!(
            other.has_accepted(2).await,
            ["new", "newer"],
            "unsupported batches do not delay them"
        );
        agent
            .until(|status| status.spool.as_ref().unwrap().batches == 3)
            .await;
        assert_eq!(unsupported(&agent.status()), [("json-lines/1".to_owned(), 3)]);
        // The same after an outage.
        other.now(Destination::Unreachable);
        drop(agent.submit_all(labels(10..13)).await);
        other.now(Destination::Accepts);
        other.has_accepted(5).await;
        agent
            .until(|status| status.spool.as_ref().unwrap().batches == 3)
            .await;
        let status = agent.status();
        assert_adds_up(&status);
        assert_eq!(status.counts.rejected_batches, 0);
        assert_eq!(status.spool.unwrap().dead_letter.batches, 0);
        // A publisher that accepts them.
        agent.reload(Double::new(Destination::Accepts, 1), 100).await;
        assert_eq!(
            agent.publisher.has_accepted(3).await,
            labels(0..3).collect::<Vec<_>>()
        );
        agent
            .until(|status| status.spool.as_ref().unwrap().batches == 0)
            .await;
        assert_eq!(unsupported(&agent.status()), []);
        agent.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn in_flight_batches_are_returned_when_a_publisher_of_another_encoding_replaces_theirs() {
    for mode in [SpoolMode::Always, SpoolMode::Overflow] {
        let sim = Sim::default();
        let bounds = options(mode, Fsync::Always, Order::Fifo);
        let mut agent = Agent::start(&sim, Destination::Unreachable, 4, bounds).await;
        agent.reload(Double::new(Destination::Unreachable, 3), 4).await;
        drop(agent.submit_all(labels(0..20)).await);
        agent.publisher.has_tried(4).await;
        let other = Double::of(Arc::new(Other), Destination::Accepts, 3);
        agent.reload(other.clone(), 4).await;
        drop(agent.submit_all(labels(20..25)).await);
        agent.until(|status| status.queued_batches == 0).await;
        // Batches in memory are encoded for the new publisher.
        agent
            .until(|status| {
                let unsupported: u64 = unsupported(status).iter().map(|(_, batches)| batches).sum();
                status.spool.as_ref().unwrap().batches == unsupported
            })
            .await;
        let [(encoding, stay)] = unsupported(&agent.status()).try_into().unwrap();
        assert_eq!(encoding, "json-lines/1");
        assert_eq!(stay as usize + other.accepted().len(), 25, "{mode:?}");
        assert_adds_up(&agent.status());
        agent.reload(Double::new(Destination::Accepts, 1), 4).await;
        let accepted = agent.publisher.has_accepted(usize::try_from(stay).unwrap()).await;
        assert!(accepted.is_sorted(), "{accepted:?}");
        let all: BTreeSet<_> = accepted.into_iter().chain(other.accepted()).collect();
        assert_eq!(all, labels(0..25).collect());
        agent.stop(Duration::from_secs(5)).await;
    }
}

/// Delivers the spool that `../spool/data/README.md` describes.
#[tokio::test]
async fn a_spool_in_format_1_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    std::fs::create_dir(&path).unwrap();
    let written = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/spool/data/format-1");
    for entry in std::fs::read_dir(written).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), path.join(entry.file_name())).unwrap();
    }
    let always = options(SpoolMode::Always, Fsync::Always, Order::Fifo);
    let spool = Spool::open("p".into(), path.clone(), always).await.unwrap();
    let json = Double::new(Destination::Accepts, 1);
    let setups = vec![setup(json.clone(), spool.clone(), 100)];
    let notifier = Notifier::start(setups, NotifierOptions::default(), &Handle::current());
    let expected: Vec<_> = (2..8).map(|number| format!("json-{number}")).collect();
    assert_eq!(json.has_accepted(6).await, expected);
    let receipt = notifier.submit(batch("new", 1)).await;
    assert_eq!(outcome(receipt).await, Outcome::Stored);
    json.has_accepted(7).await;
    let notifications = Arc::new(Addresses::default());
    notifier
        .reconfigure(vec![setup(notifications.clone(), spool.clone(), 100)])
        .await;
    let empty = async {
        while spool.status().batches > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, empty).await.unwrap();
    assert_eq!(notifications.0.lock().len(), 6);
    let status = notifier.status().remove(0);
    assert_adds_up(&status);
    assert_eq!(
        (status.counts.delivered_samples, status.counts.dropped_samples),
        (37, 0)
    );
    notifier
        .shutdown(tokio::time::Instant::now() + Duration::from_secs(5))
        .await;
    let mut left: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["cursor", "lock"]);
}

#[tokio::test]
async fn batches_dropped_at_the_size_limit_of_the_spool_are_counted() {
    let sim = Sim::default();
    let bounds = SpoolOptions {
        mode: SpoolMode::Always,
        max_bytes: 64 << 10,
        ..overflow()
    };
    let agent = Agent::start(&sim, Destination::Unreachable, 100, bounds).await;
    let receipts = agent.submit_all(labels(0..300)).await;
    for (_, receipt) in receipts {
        assert_eq!(outcome(receipt).await, Outcome::Stored);
    }
    let status = agent.status();
    assert_adds_up(&status);
    assert!(status.counts.dropped_batches > 0);
    assert!(status.spool.as_ref().unwrap().bytes <= 64 << 10);
    // Drops all batches manually, except those in flight.
    let dropped = agent.spool.drop_older_than(i64::MAX).await.unwrap();
    assert!(dropped.batches > 0 && dropped.samples == dropped.batches);
    let left = agent.status().spool.unwrap().batches;
    assert!(left <= 2, "{left} are left");
    assert_adds_up(&agent.status());
    agent.publisher.now(Destination::Accepts);
    agent
        .until(|status| status.spool.as_ref().unwrap().batches == 0)
        .await;
    agent.stop(Duration::from_secs(5)).await;
}
