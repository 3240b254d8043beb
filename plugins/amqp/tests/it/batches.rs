//! Distinguishable batches, and functions to publish them.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_plugin::model::{
    Batch, CycleId, Meter, MeterDef, RunIds, Sample, ScheduleId, Subject, Timestamp, Volume,
};
use nephoscope_plugin::{Accepted, PublishError, Publisher};
use tokio::time::timeout;

/// The timeout of every step.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A batch with this number of samples, whose first resource has this name.
pub(crate) fn batch(resource: &str, samples: usize) -> Arc<Batch> {
    const VALUE: MeterDef = MeterDef::gauge("test.value", "unit", "A number");
    let meter = Arc::new(Meter::from(&VALUE));
    let cycle = CycleId::new(
        ScheduleId::new("every:10:0"),
        Timestamp::from_millis(1_767_323_040_000),
        1,
    );
    let ids = RunIds::new("", &cycle, "test");
    let samples = (0..samples).map(|index| {
        let key = match index {
            0 => resource.to_owned(),
            index => format!("{resource}/{index}"),
        };
        let id = ids.resource(&key).sample(VALUE.name, &key, 0);
        Sample::new(
            Subject::new(key).metadata("display_name", "vm č").shared(),
            meter.clone(),
            Volume::Uint(index as u64),
            cycle.start,
            id,
        )
    });
    Arc::new(Batch::new(samples.collect(), "openstack".into()))
}

/// Publishes a batch within the timeout.
pub(crate) async fn publish(publisher: &Arc<dyn Publisher>, batch: &Arc<Batch>) -> Result<(), PublishError> {
    timeout(PATIENCE, publisher.publish(batch.clone()))
        .await
        .expect("a publish must end")
        .map(|accepted| assert_eq!(accepted, Accepted::all()))
}

/// Publishes a batch, which must fail with an error that allows a retry; returns its text.
pub(crate) async fn failure(publisher: &Arc<dyn Publisher>, batch: &Arc<Batch>) -> String {
    match publish(publisher, batch).await {
        Err(error @ PublishError::Retry { .. }) => error.to_string(),
        other => panic!("expected an error that allows a retry, got {other:?}"),
    }
}

/// Publishes until the batch is delivered, like the notifier; returns the errors. A publish returns only after an attempt, so
/// that this is not a busy loop.
pub(crate) async fn deliver(publisher: &Arc<dyn Publisher>, batch: &Arc<Batch>) -> Vec<String> {
    let mut failures = Vec::new();
    let tries = async {
        loop {
            match publish(publisher, batch).await {
                Ok(()) => return,
                Err(error @ PublishError::Retry { .. }) => failures.push(error.to_string()),
                Err(error) => panic!("rejected: {error}"),
            }
        }
    };
    let delivered = timeout(PATIENCE, tries).await;
    assert!(delivered.is_ok(), "not delivered: {failures:#?}");
    failures
}

/// Publishes until an error contains `part`.
pub(crate) async fn failure_with(publisher: &Arc<dyn Publisher>, batch: &Arc<Batch>, part: &str) -> String {
    let mut others = Vec::new();
    let tries = async {
        loop {
            match publish(publisher, batch).await {
                Err(error) if error.to_string().contains(part) => return error.to_string(),
                other => others.push(format!("{other:?}")),
            }
        }
    };
    match timeout(PATIENCE, tries).await {
        Ok(text) => text,
        Err(_) => panic!("never failed with `{part}`: {:#?}", others.last()),
    }
}
