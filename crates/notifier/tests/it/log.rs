//! Log lines: one for each state change, not one for each retry or loss.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_notifier::{FULL_QUEUE_TIMEOUT, MeterSelector, PublisherSetup, Selectors};
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

    /// The lines without the values of `seconds`, which vary with the jitter of the pauses.
    fn lines(&self) -> String {
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
async fn an_outage_within_the_queue_logs_two_lines() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Accept);
    publisher.next([Act::Retry, Act::Panic, Act::Hang]);
    let notifier = start(vec![setup("broker", &publisher, 100)]);
    let receipt = notifier.submit(batch("a", 1)).await;
    receipt.outcome().await;
    insta::assert_snapshot!(log.lines(), @r#"
    WARN cannot deliver: samples stay queued and are retried publisher="broker" attempts=1 error="the broker is unreachable: connection refused"
    INFO delivery resumed publisher="broker" seconds=_ attempts=3
    "#);
}

#[tokio::test(start_paused = true)]
async fn an_outage_beyond_the_queue_logs_its_losses() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("broker", &publisher, 10)]);
    for label in 0..50 {
        drop(notifier.submit(batch(&label.to_string(), 5)).await);
    }
    publisher.then(Act::Accept);
    publisher.until(|record| record.accepted.len() == 2).await;
    sleep(Duration::from_secs(1)).await;
    insta::assert_snapshot!(log.lines(), @r#"
    ERROR samples are lost: the publisher does not answer, and its full queue drops the oldest samples publisher="broker" bound=10
    WARN cannot deliver: samples stay queued and are retried publisher="broker" attempts=1 error="no answer within 30s"
    INFO delivery resumed publisher="broker" seconds=_ attempts=1
    ERROR samples were lost: the queue no longer drops samples publisher="broker" seconds=_ samples=240
    "#);
}

#[tokio::test(start_paused = true)]
async fn rejections_are_logged_when_they_begin_and_when_they_end() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Reject);
    let notifier = start(vec![setup("broker", &publisher, 100)]);
    for label in 0..50 {
        let label = label.to_string();
        if label.ends_with('7') {
            publisher.next([Act::Accept]);
        }
        _ = notifier.submit(batch(&label, 2)).await.outcome().await;
    }
    publisher.then(Act::Accept);
    sleep(Duration::from_secs(10)).await;
    _ = notifier.submit(batch("good", 2)).await.outcome().await;
    insta::assert_snapshot!(log.lines(), @r#"
    ERROR samples are lost: the destination rejects them permanently publisher="broker" reason="not a message"
    ERROR samples were lost: the destination accepts samples again publisher="broker" seconds=_ samples=90
    "#);
}

#[tokio::test(start_paused = true)]
async fn an_intermittently_failing_publisher_does_not_fill_the_log() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Accept);
    let notifier = start(vec![setup("broker", &publisher, 100)]);
    for label in 0..100 {
        publisher.next([Act::Retry]);
        _ = notifier
            .submit(batch(&label.to_string(), 1))
            .await
            .outcome()
            .await;
    }
    // The pauses add up to ten seconds: two lines for each ten seconds.
    let lines = log.lines().lines().count();
    assert!((2..=4).contains(&lines), "{}", log.lines());
}

#[tokio::test(start_paused = true)]
async fn a_stop_logs_the_remaining_samples() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Hang);
    let notifier = start(vec![setup("broker", &publisher, 100)]);
    for label in ["a", "b"] {
        drop(notifier.submit(batch(label, 5)).await);
    }
    drop(notifier.shutdown(Instant::now() + FULL_QUEUE_TIMEOUT).await);
    for label in ["c", "d"] {
        drop(notifier.submit(batch(label, 5)).await);
    }
    insta::assert_snapshot!(log.lines(), @r#"
    ERROR samples are lost: the publisher was stopped before its queue was empty publisher="broker" samples=10 batches=2
    ERROR samples are lost: they were submitted after the publisher was stopped publisher="broker"
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_logged() {
    let (log, _guard) = Log::capture();
    let (wrong, right) = (Double::new(Act::Hang), Double::new(Act::Accept));
    let notifier = start(vec![setup("broker", &wrong, 100)]);
    let receipt = notifier.submit(batch("a", 5)).await;
    notifier.reconfigure(vec![setup("broker", &right, 100)]).await;
    receipt.outcome().await;
    insta::assert_snapshot!(log.lines(), @r#"INFO publisher replaced by a reload; the queue is kept publisher="broker" queued=5"#);
}

#[tokio::test(start_paused = true)]
async fn meters_without_a_publisher_are_logged_once_until_a_reload() {
    let (log, _guard) = Log::capture();
    let publisher = Double::new(Act::Accept);
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
    insta::assert_snapshot!(log.lines(), @r#"
    WARN no publisher accepts these meters: their samples are counted as filtered meters="m" more=0
    WARN no publisher accepts these meters: their samples are counted as filtered meters="m" more=0
    "#);
}
