//! What is written to the log: a line when a state changes, not one for each retry or loss.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_notifier::{MeterSelector, PATIENCE, PublisherSetup, Selectors};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tracing::subscriber::DefaultGuard;

use crate::doubles::{Act, Double, batch, setup, start};

/// The log of this test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines, without the numbers of seconds, which the spread of the pauses makes differ.
    fn told(&self) -> String {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        let line = |line: &str| match line.trim_start().split_once("seconds=") {
            Some((before, after)) => {
                let after = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
                format!("{before}seconds=_{after}")
            }
            None => line.trim_start().to_owned(),
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_within_the_queue_is_two_lines() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Take);
    publisher.next([Act::Retry, Act::Panic, Act::Hang]);
    let notifier = start(vec![setup("broker", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    receipt.outcome().await;
    insta::assert_snapshot!(log.told(), @r#"
    WARN cannot deliver: samples wait and are tried again publisher="broker" attempts=1 error="the broker is away: connection refused"
    INFO delivers again publisher="broker" seconds=_ attempts=3
    "#);
}

#[tokio::test(start_paused = true)]
async fn an_outage_beyond_the_queue_is_told_with_its_losses() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("broker", &publisher, 10)]);
    for label in 0..50 {
        drop(notifier.submit(batch(&label.to_string(), 5)).await);
    }
    publisher.then(Act::Take);
    publisher.until(|record| record.taken.len() == 2).await;
    sleep(Duration::from_secs(1)).await;
    insta::assert_snapshot!(log.told(), @r#"
    ERROR samples are lost: the queue is full and the publisher does not answer, its oldest samples are dropped publisher="broker" bound=10
    WARN cannot deliver: samples wait and are tried again publisher="broker" attempts=1 error="no answer within 30s"
    INFO delivers again publisher="broker" seconds=_ attempts=1
    ERROR samples were lost: dropping from the queue has ended publisher="broker" seconds=_ samples=240
    "#);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_when_they_begin_and_when_they_have_ended() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Refuse);
    let notifier = start(vec![setup("broker", &publisher, 100)]);
    for label in 0..50 {
        let label = label.to_string();
        if label.ends_with('7') {
            publisher.next([Act::Take]);
        }
        _ = notifier.submit(batch(&label, 2)).await.outcome().await;
    }
    publisher.then(Act::Take);
    sleep(Duration::from_secs(10)).await;
    _ = notifier.submit(batch("good", 2)).await.outcome().await;
    insta::assert_snapshot!(log.told(), @r#"
    ERROR samples are lost: the other side refuses them for good publisher="broker" reason="not a message"
    ERROR samples were lost: the other side takes samples again publisher="broker" seconds=_ samples=90
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_fails_now_and_then_does_not_fill_the_log() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Take);
    let notifier = start(vec![setup("broker", &publisher, 100)]);
    for label in 0..100 {
        publisher.next([Act::Retry]);
        _ = notifier
            .submit(batch(&label.to_string(), 1))
            .await
            .outcome()
            .await;
    }
    // The pauses alone take ten seconds: two lines each time that ten seconds have passed.
    let lines = log.told().lines().count();
    assert!((2..=4).contains(&lines), "{}", log.told());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_a_stop_is_told() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("broker", &publisher, 100)]);
    for label in ["a", "b"] {
        drop(notifier.submit(batch(label, 5)).await);
    }
    drop(notifier.shutdown(Instant::now() + PATIENCE).await);
    for label in ["c", "d"] {
        drop(notifier.submit(batch(label, 5)).await);
    }
    insta::assert_snapshot!(log.told(), @r#"
    ERROR samples are lost: they were still queued when the publisher was stopped publisher="broker" samples=10 batches=2
    ERROR samples are lost: they came after the publisher was stopped publisher="broker"
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_told() {
    let (log, _guard) = Log::capture();
    let (wrong, right) = (Double::new(Act::Hang), Double::new(Act::Take));
    let notifier = start(vec![setup("broker", &wrong, 100)]);
    let receipt = notifier.submit(batch("a", 5)).await;
    notifier.reconfigure(vec![setup("broker", &right, 100)]).await;
    receipt.outcome().await;
    insta::assert_snapshot!(log.told(), @r#"INFO replaced by a reload; queued samples are kept publisher="broker" queued=5"#);
}

#[tokio::test(start_paused = true)]
async fn what_no_publisher_takes_is_one_line_until_a_reload() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Take);
    let selecting = || {
        let meters = MeterSelector::new(vec!["disk.*".to_owned()], |meter| meter.name.starts_with("disk"));
        PublisherSetup {
            selectors: Selectors::default().meters(meters),
            ..setup("broker", &publisher, 100)
        }
    };
    let notifier = start(vec![selecting()]);
    for round in 0..3 {
        if round == 2 {
            notifier.reconfigure(vec![selecting()]).await;
        }
        drop(notifier.submit(batch("a", 5)).await);
    }
    assert_eq!(notifier.filtered(), 15);
    insta::assert_snapshot!(log.told(), @r#"
    WARN no publisher takes these meters: their samples are counted as filtered meters="m" more=0
    WARN no publisher takes these meters: their samples are counted as filtered meters="m" more=0
    "#);
}
