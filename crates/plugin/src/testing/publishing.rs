//! Testing of publishers without an agent.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Batch, Meter, MeterDef, RunIds, Sample, Subject, Volume};
use tokio::time::timeout;

use super::kit::cycle;
use super::schema;
use crate::{BlockingPool, BuildError, Catalog, Publisher, PublisherContext, PublisherPlugin};

/// The maximum time for one call; a publisher that needs longer is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// A key that no publisher has as an option.
const UNKNOWN: &str = "no_such_option";

/// Builds the publisher of `url` with `options` (the keys other than `name` and `url`; null for none).
///
/// # Errors
///
/// The errors that the agent would get.
///
/// # Panics
///
/// When no publisher is registered for the scheme.
pub fn publisher(url: &str, options: serde_json::Value) -> Result<Arc<dyn Publisher>, BuildError> {
    (find(url).build)(&context(url, options))
}

/// Returns a batch of this many samples with fixed content: `test.value` of `resource-0`, `resource-1` and so on.
pub fn batch(samples: usize) -> Arc<Batch> {
    const VALUE: MeterDef = MeterDef::gauge("test.value", "unit", "A number");
    let meter = Arc::new(Meter::from(&VALUE));
    let cycle = cycle(1);
    let ids = RunIds::new("", &cycle, "test");
    let samples = (0..samples).map(|index| {
        let key = format!("resource-{index}");
        let id = ids.resource(&key).sample(VALUE.name, &key, 0);
        let subject = Subject::new(key).metadata("display_name", "a \"name\"").shared();
        Sample::new(
            subject,
            meter.clone(),
            Volume::Uint(index as u64),
            cycle.start,
            id,
        )
    });
    Arc::new(Batch::new(samples.collect(), "openstack".into()))
}

/// Checks the rules for publishers on the publisher of `url`, which must be able to deliver, with these options (the keys
/// other than `name` and `url`; null for none).
///
/// # Panics
///
/// When a rule is violated; the message lists all violations.
pub async fn publisher_conformance(url: &str, options: serde_json::Value) {
    let findings = publisher_findings(&find(url), url, options).await;
    assert!(
        findings.is_empty(),
        "the publisher of `{url}` does not conform:\n- {}",
        findings.join("\n- ")
    );
}

pub(super) async fn publisher_findings(
    plugin: &PublisherPlugin,
    url: &str,
    options: serde_json::Value,
) -> Vec<String> {
    let mut findings = Vec::new();
    schema::check_line(&mut findings, "the publisher", plugin.description);
    for scheme in plugin.schemes {
        let well_formed = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme
                .chars()
                .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || "+-.".contains(char));
        if !well_formed {
            findings.push(format!("the scheme `{scheme}` is not a lowercase URL scheme"));
        }
    }
    let mut filled = options.clone();
    if let Some(spec) = plugin.options {
        let schema = spec.schema().to_value();
        schema::check(&mut findings, &schema, schema::Required::Allowed);
        schema::fill_secrets(&schema, &mut filled);
    }
    let mut unknown = options.clone();
    if unknown.is_null() {
        unknown = serde_json::json!({});
    }
    if let Some(keys) = unknown.as_object_mut() {
        keys.insert(UNKNOWN.to_owned(), true.into());
    }
    if !matches!(
        (plugin.build)(&context(url, unknown)),
        Err(BuildError::Options(_))
    ) {
        findings.push("an unknown option is accepted".to_owned());
    }
    if let Ok(publisher) = (plugin.build)(&context(url, filled))
        && let Ok(Err(error)) = timeout(PATIENCE, publisher.publish(batch(1))).await
        && format!("{error} {error:?}").contains(schema::CANARY)
    {
        findings.push("a secret option appears in the error of a batch".to_owned());
    }
    let publisher = match (plugin.build)(&context(url, options)) {
        Ok(publisher) => publisher,
        Err(error) => {
            findings.push(format!("cannot be built: {error}"));
            return findings;
        }
    };
    if publisher.in_flight() == 0 {
        findings.push("`in_flight` is 0, so nothing would be delivered".to_owned());
    }
    if plugin.spool && publisher.encoding().is_none() {
        findings.push("it has a spool by default but declares no encoding".to_owned());
    }
    // The notifier drops the future at its deadline; the next batch must find the publisher usable.
    let dropped = timeout(Duration::ZERO, publisher.publish(batch(1))).await;
    drop(dropped);
    for what in [
        "a batch after one whose future was dropped",
        "an empty batch",
        "a batch",
    ] {
        let batch = batch(if what == "an empty batch" { 0 } else { 3 });
        match timeout(PATIENCE, publisher.publish(batch)).await {
            Ok(Ok(accepted)) if accepted.rejected() == 0 => {}
            Ok(Ok(accepted)) => {
                findings.push(format!("{what} was only partly delivered: {}", accepted.reason()))
            }
            Ok(Err(error)) => findings.push(format!("{what} was not delivered: {error}")),
            Err(_) => findings.push(format!("{what} was not delivered in {PATIENCE:?}")),
        }
    }
    if timeout(PATIENCE, publisher.close()).await.is_err() {
        findings.push(format!("`close` did not return in {PATIENCE:?}"));
    }
    findings
}

fn find(url: &str) -> PublisherPlugin {
    let catalog = match Catalog::collect() {
        Ok(catalog) => catalog,
        Err(error) => panic!("the catalog is not consistent: {error}"),
    };
    let scheme = url.split(':').next().unwrap_or_default();
    let Some(plugin) = catalog.publisher(scheme) else {
        panic!("no publisher is registered for `{scheme}:`");
    };
    *plugin
}

fn context(url: &str, options: serde_json::Value) -> PublisherContext {
    PublisherContext::new("test".into(), url.to_owned(), options, BlockingPool::default())
}
