//! Encoding of samples as notifications, on one core.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Batch, OsloNotification, Sample, Signer};

use crate::bench::Effort;
use crate::clocks;
use crate::error::BenchError;
use crate::figure::{Budget, Figure, Unit};
use crate::instances::{BATCH, instance_samples};
use crate::stats::median;

/// Samples of a run: their data exceeds the processor's caches.
const SAMPLES: usize = 10_000;

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let signer = Signer::new("a secret").map(Arc::new);
    let (signed_budget, signed_one_budget) = if has_sha() {
        (500_000.0, 140_000.0)
    } else {
        (105_000.0, 98_000.0)
    };
    let runs = effort.of(9, 3);
    let mut figures = Vec::new();
    for (each, signer, budget) in [
        (10, None, 1_200_000.0),
        (10, signer.as_ref(), signed_budget),
        (1, None, 180_000.0),
        (1, signer.as_ref(), signed_one_budget),
    ] {
        let signed = if signer.is_some() { "signed" } else { "unsigned" };
        let samples = instance_samples(SAMPLES, each)?;
        let measured = (0..runs).map(|_| once(&samples, signer)).collect();
        figures.push(Figure::new(
            format!("encoded, {each} a resource, {signed}"),
            Unit::SamplesPerSecond,
            Budget::AtLeast(budget),
            median(measured),
            format!(
                "notifications of {BATCH} samples, {each} for each resource, with 1.3 kB of metadata that no earlier batch \
                 had; samples / CPU time; median of {runs} runs of {SAMPLES} samples"
            ),
        ));
    }
    Ok(figures)
}

/// Returns samples per second of CPU time.
fn once(samples: &[Sample], signer: Option<&Arc<Signer>>) -> f64 {
    let source: Arc<str> = "openstack".into();
    // The batches exist before the clock starts, as in a cycle.
    let batches: Vec<Batch> = samples
        .chunks(BATCH)
        .map(|samples| Batch::new(samples.to_vec(), source.clone()).signed_by(signer.cloned()))
        .collect();
    let began = clocks::cpu();
    for batch in batches {
        _ = black_box(batch.encoded(&OsloNotification));
    }
    let passed = clocks::cpu().saturating_sub(began).max(Duration::from_nanos(1));
    samples.len() as f64 / passed.as_secs_f64()
}

/// Returns whether the processor has instructions for SHA-256.
fn has_sha() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sha");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}
